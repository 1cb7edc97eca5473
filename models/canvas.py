"""The raw side: the four grade events as Canvas documents them, and the names of all others.

The sentences follow the Canvas LMS Live Events documentation (Canvas event format, pages Grade, Final and
Event Metadata); what Canvas really sends differs in places, and then the sentence says so. Writers use these
types and the published schemas of the raw topic come from them. Reading is `models.grades`: it takes more
than is documented here (absent and null alike, numbers as text) and keeps less.

Canvas leaves out what is null, so write with `model_dump_json(exclude_none=True)`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

CanvasId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$")]
"""A Canvas id, too large for a float. A global one is 10**13 times the shard plus the local id."""

CanvasIdOrEmpty: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,19}$")]
"""A Canvas id where Canvas writes an empty text for none."""

CanvasTime: TypeAlias = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"
    ),
]
"""An ISO 8601 time with an offset, which may change from one time to the next within an event."""


class _Documented(BaseModel):
    """Base of all that Canvas documents: frozen, and fields it adds later are passed over."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Metadata(_Documented):
    """What Canvas says about an event. In those of background jobs all about user and request is absent."""

    root_account_uuid: str = Field(
        description="The unique id of the root account associated with the context."
    )
    root_account_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the root account associated with the context."
    )
    root_account_lti_guid: str | None = Field(
        default=None, description="The LTI guid of the root account associated with the context."
    )
    user_login: str | None = Field(default=None, description="The login of the current user.")
    user_account_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the account that the current user belongs to."
    )
    user_sis_id: str | None = Field(default=None, description="The SIS id of the current user.")
    user_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the user who caused the event, such as the teacher."
    )
    real_user_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the actual user, if the current user is masquerading."
    )
    time_zone: str | None = Field(
        default=None, description="The time zone of the current user, as an IANA name."
    )
    context_type: str | None = Field(
        default=None, description="The type of the context where the event happened; Course for grades."
    )
    context_id: CanvasId | None = Field(
        default=None,
        description="The Canvas id of the context; global, also where the ids of the body are local.",
    )
    context_sis_source_id: str | None = Field(default=None, description="The SIS id of the context.")
    context_account_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the account of the context."
    )
    context_role: str | None = Field(
        default=None, description="The role of the current user in the context, such as TeacherEnrollment."
    )
    developer_key_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the developer key, if the request came through the API."
    )
    request_id: str | None = Field(default=None, description="The unique id of the web request.")
    session_id: str | None = Field(default=None, description="The session of the web request.")
    hostname: str | None = Field(default=None, description="The host name of the web request.")
    http_method: str | None = Field(default=None, description="The HTTP method of the web request.")
    user_agent: str | None = Field(default=None, description="The browser or client of the web request.")
    client_ip: str | None = Field(default=None, description="The address that the web request came from.")
    url: str | None = Field(default=None, description="The URL of the web request.")
    referrer: str | None = Field(default=None, description="The URL of the page that led to the web request.")
    job_id: str | None = Field(
        default=None, description="The id of the background job, if one emitted the event."
    )
    job_tag: str | None = Field(default=None, description="What the background job does.")
    producer: str | None = Field(
        default=None, description="The producer of the event; canvas for all of these."
    )
    event_name: str = Field(description="The name of the event.")
    event_time: CanvasTime = Field(description="The time when the event was emitted, with milliseconds.")


class CourseGradeChangeBody(_Documented):
    """Body of `course_grade_change`. Ids are local; scores are percentages."""

    user_id: CanvasId = Field(description="The Canvas user id of the student.")
    course_id: CanvasId = Field(description="The Canvas id of the course.")
    workflow_state: str | None = Field(
        default=None, description='The state of the score record in the database: "active" or "deleted".'
    )
    created_at: CanvasTime | None = Field(
        default=None,
        description="The time when the score row was created, which may be before anything is graded.",
    )
    updated_at: CanvasTime | None = Field(
        default=None,
        description="The time when the score row was last updated, that is, when the event is emitted.",
    )
    current_score: FiniteFloat | None = Field(
        default=None, description="The user's current score in the class."
    )
    old_current_score: FiniteFloat | None = Field(
        default=None,
        description="The same before it changed. Absent until the student submits a first assignment.",
    )
    final_score: FiniteFloat | None = Field(default=None, description="The user's final score for the class.")
    old_final_score: FiniteFloat | None = Field(
        default=None,
        description="The final score before it changed. 0.0 until the student submits a first assignment.",
    )
    unposted_current_score: FiniteFloat | None = Field(
        default=None, description="The user's current grade in the class including unposted assignments."
    )
    old_unposted_current_score: FiniteFloat | None = Field(
        default=None,
        description="The same before it changed. Absent until the student submits a first assignment.",
    )
    unposted_final_score: FiniteFloat | None = Field(
        default=None, description="The user's final grade for the class including unposted assignments."
    )
    old_unposted_final_score: FiniteFloat | None = Field(
        default=None,
        description="The same before it changed. Absent when the student submits a first assignment.",
    )


class GradeChangeBody(_Documented):
    """Body of `grade_change`. Ids are global; the course is the context of the metadata."""

    assignment_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the assignment associated with the submission."
    )
    assignment_name: str | None = Field(
        default=None, description="The name of the assignment. Canvas sends it undocumented."
    )
    grade: str | None = Field(default=None, description="The new grade, as shown.")
    grader_id: CanvasId | None = Field(
        default=None,
        description="The Canvas id of the user making the grade change. Absent for automatic grading.",
    )
    grading_complete: bool | None = Field(
        default=None,
        description="Whether all is graded; false for a quiz with questions left to grade by hand.",
    )
    muted: bool | None = Field(
        default=None,
        description="Whether the submission is hidden; muted grade changes are not for students.",
    )
    old_grade: str | None = Field(default=None, description="The previous grade, if there was one.")
    old_points_possible: FiniteFloat | None = Field(
        default=None, description="The maximum points possible for the previous grade."
    )
    old_score: FiniteFloat | None = Field(
        default=None, description="The previous score: that of the submission's previous version."
    )
    points_possible: FiniteFloat | None = Field(
        default=None, description="The maximum points possible for the submission's assignment."
    )
    score: FiniteFloat | None = Field(default=None, description="The new score.")
    student_id: CanvasId | None = Field(default=None, description="Same as the user_id.")
    student_sis_id: str | None = Field(default=None, description="The SIS id of the student.")
    submission_id: CanvasId = Field(
        description="The Canvas id of the submission that the grade is changing on."
    )
    user_id: CanvasId = Field(
        description="The Canvas id of the user associated with the submission with the change."
    )


class GradeOverrideBody(_Documented):
    """Body of `grade_override`. Ids are local."""

    score_id: CanvasId | None = Field(default=None, description="The Canvas id of the score record.")
    enrollment_id: CanvasId | None = Field(
        default=None,
        description="The Canvas id of the enrollment record; one event is sent for each section.",
    )
    user_id: CanvasId = Field(description="The Canvas id of the user attached to this enrollment.")
    course_id: CanvasId = Field(description="The Canvas id of the course attached to this enrollment.")
    grading_period_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the grading period. Absent for the course as a whole."
    )
    override_score: FiniteFloat | None = Field(
        default=None,
        description="The new value of the score after the override. Absent when the override is removed.",
    )
    old_override_score: FiniteFloat | None = Field(
        default=None,
        description="The previous value of the score before the override. Absent for a first override.",
    )
    updated_at: CanvasTime | None = Field(
        default=None, description="The date and time when the override occurred."
    )


class FinalGradeCustomStatusBody(_Documented):
    """Body of `final_grade_custom_status`. Ids are local; no status is an empty text."""

    score_id: CanvasId | None = Field(default=None, description="The Canvas id of the score record.")
    enrollment_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the enrollment record for the student."
    )
    user_id: CanvasId = Field(description="The Canvas user id of the student.")
    course_id: CanvasId = Field(description="The Canvas id of the course.")
    grading_period_id: CanvasId | None = Field(
        default=None, description="The Canvas id of the grading period, if applicable."
    )
    override_status: str | None = Field(
        default=None, description="The new custom status name applied to the user's final grade."
    )
    override_status_id: CanvasIdOrEmpty | None = Field(
        default=None, description="The new custom status id applied to the user's final grade."
    )
    old_override_status: str | None = Field(
        default=None, description="The previous custom status name applied to the final grade, if applicable."
    )
    old_override_status_id: CanvasIdOrEmpty | None = Field(
        default=None, description="The previous custom status id applied to the final grade, if applicable."
    )
    updated_at: CanvasTime | None = Field(
        default=None, description="The time when the custom status was applied."
    )


class CourseGradeChangeMetadata(Metadata):
    """Metadata of `course_grade_change`."""

    event_name: Literal["course_grade_change"] = Field(
        default="course_grade_change", description="The name of the event."
    )


class CourseGradeChangeEvent(_Documented):
    """Emitted whenever any of the four course scores of a student changes."""

    metadata: CourseGradeChangeMetadata = Field(description="What Canvas says about the event.")
    body: CourseGradeChangeBody = Field(description="What changed.")


class GradeChangeMetadata(Metadata):
    """Metadata of `grade_change`."""

    event_name: Literal["grade_change"] = Field(default="grade_change", description="The name of the event.")


class GradeChangeEvent(_Documented):
    """Emitted whenever a submission is graded, also by a scored quiz or a change of points or grade type."""

    metadata: GradeChangeMetadata = Field(description="What Canvas says about the event.")
    body: GradeChangeBody = Field(description="What changed.")


class GradeOverrideMetadata(Metadata):
    """Metadata of `grade_override`."""

    event_name: Literal["grade_override"] = Field(
        default="grade_override", description="The name of the event."
    )


class GradeOverrideEvent(_Documented):
    """Emitted when the final grade override of a student changes the existing one."""

    metadata: GradeOverrideMetadata = Field(description="What Canvas says about the event.")
    body: GradeOverrideBody = Field(description="What changed.")


class FinalGradeCustomStatusMetadata(Metadata):
    """Metadata of `final_grade_custom_status`."""

    event_name: Literal["final_grade_custom_status"] = Field(
        default="final_grade_custom_status", description="The name of the event."
    )


class FinalGradeCustomStatusEvent(_Documented):
    """Emitted when a custom status is applied to a student's final grade or removed from it."""

    metadata: FinalGradeCustomStatusMetadata = Field(description="What Canvas says about the event.")
    body: FinalGradeCustomStatusBody = Field(description="What changed.")


CanvasGradeEvent: TypeAlias = (
    CourseGradeChangeEvent | GradeChangeEvent | GradeOverrideEvent | FinalGradeCustomStatusEvent
)

GRADE_EVENTS: Mapping[str, type[CanvasGradeEvent]] = MappingProxyType(
    {
        "course_grade_change": CourseGradeChangeEvent,
        "grade_change": GradeChangeEvent,
        "grade_override": GradeOverrideEvent,
        "final_grade_custom_status": FinalGradeCustomStatusEvent,
    }
)
"""The four events that are read, by name."""

GRADE_EVENT_NAMES = frozenset(GRADE_EVENTS)

CANVAS_EVENT_NAMES = frozenset(
    """
    account_created account_notification_created account_updated asset_accessed assignment_created
    assignment_group_created assignment_group_updated assignment_override_created
    assignment_override_updated assignment_updated attachment_created attachment_deleted attachment_updated
    blueprint_restrictions_updated blueprint_subscription_created blueprint_subscription_deleted
    content_export_created content_migration_completed conversation_created conversation_forwarded
    conversation_message_created convert_new_quiz_youtube_link course_completed course_created
    course_grade_change course_progress course_section_created course_section_updated course_updated
    default_blueprint_restrictions_updated discussion_entry_created discussion_entry_deleted
    discussion_entry_submitted discussion_entry_updated discussion_topic_created discussion_topic_updated
    enrollment_created enrollment_state_created enrollment_state_updated enrollment_updated
    final_grade_custom_status grade_change grade_override group_category_created group_category_updated
    group_created group_membership_created group_membership_updated group_updated heartbeat
    learning_outcome_created learning_outcome_group_created learning_outcome_group_updated
    learning_outcome_link_created learning_outcome_link_updated learning_outcome_result_created
    learning_outcome_result_updated learning_outcome_updated logged_in logged_out lti_resource_link_created
    lti_resource_link_updated master_migration_completed master_template_created module_created
    module_item_created module_item_updated module_updated outcome_calculation_method_created
    outcome_calculation_method_updated outcome_friendly_description_created
    outcome_friendly_description_updated outcome_proficiency_created outcome_proficiency_updated
    outcomes.retry_outcome_alignment_clone plagiarism_resubmit quiz_created quiz_export_complete
    quiz_submitted quiz_updated quizzes_next_migration_urls_complete quizzes_next_quiz_duplicated
    rubric_assessed scan_youtube_links sis_batch_created sis_batch_updated submission_comment_created
    submission_created submission_custom_grade_status submission_updated syllabus_updated
    user_account_association_created user_created user_updated wiki_page_created wiki_page_deleted
    wiki_page_updated
    quizzes.item_created quizzes.item_updated quizzes.qti_import_completed quizzes.quiz_clone_job_created
    quizzes.quiz_clone_job_updated quizzes.quiz_created quizzes.quiz_graded quizzes.quiz_session_graded
    quizzes.quiz_session_submitted quizzes.quiz_session_ungraded quizzes.quiz_updated
    """.split()  # noqa: SIM905  quotes and commas would hide the names
)
"""Every name that Canvas posts itself (`lib/canvas/live_events.rb` of 2026), then those of New Quizzes."""
