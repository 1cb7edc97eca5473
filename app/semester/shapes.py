"""The names of the events that are about no grade, and what their bodies hold."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from app.semester.envelope import Fields, second_text
from app.semester.options import DAY_MS
from app.semester.people import Person, global_id

# Names that share a shape, who causes them, how often each comes (a weight: no public figures exist, so the
# mix is an assumption), and the fields of the body. What a field holds follows from its ending (_id, _ids,
# _at) or stands after the colon.
_TABLE: Final = """
asset_accessed student 500 asset_id asset_type:word asset_name:title category:word role:role level:word
    user_id:user
logged_in student 60 redirect_url:url
logged_out student 15
submission_created student 50 submission_id assignment_id user_id:user submitted_at submission_type:word
    attempt:count body:text url:url late:flag missing:flag lti_user_id:uuid lti_assignment_id:uuid
    updated_at workflow_state:state
submission_updated student 100 submission_id assignment_id user_id:user submitted_at submission_type:word
    attempt:count score:points grade:text late:flag missing:flag graded_at posted_at updated_at
    workflow_state:state
submission_comment_created teacher 15 submission_comment_id submission_id user_id:user created_at
    attachment_ids body:text
submission_custom_grade_status teacher 1 submission_id assignment_id user_id:user submission_status:word
    submission_status_id old_submission_status:word updated_at
plagiarism_resubmit student 1 submission_id assignment_id user_id:user submitted_at attempt:count updated_at
quiz_submitted student 30 submission_id quiz_id
quizzes.quiz_session_submitted+quizzes.quiz_session_graded+quizzes.quiz_session_ungraded student 4
    id:count quiz_id grading_method:word accepted_student_access_code_at allow_backtracking:flag
    session_items:count
quizzes.quiz_graded+quizzes.quiz_created+quizzes.quiz_updated teacher 1 id:count quiz_id title:title
    points:points
quizzes.item_created+quizzes.item_updated teacher 3 id:count bank_id title:title label:text points:points
    properties:flag scoring_algorithm:word user_response_type:word
quizzes.qti_import_completed+quizzes.quiz_clone_job_created+quizzes.quiz_clone_job_updated job 0.5
    id:count quiz_id status:state
attachment_created+attachment_updated+attachment_deleted student 12 attachment_id user_id:user
    display_name:title filename:title folder_id unlock_at lock_at updated_at context_type:word context_id
    content_type:word
discussion_entry_created+discussion_entry_updated+discussion_entry_submitted student 10
    discussion_entry_id discussion_topic_id user_id:user created_at text:text
discussion_entry_deleted student 1 discussion_entry_id discussion_topic_id user_id:user
discussion_topic_created+discussion_topic_updated teacher 2 discussion_topic_id assignment_id title:title
    body:text context_type:word context_id workflow_state:state lock_at updated_at is_announcement:flag
conversation_created+conversation_forwarded student 3 conversation_id updated_at
conversation_message_created student 4 message_id conversation_id author_id created_at
course_progress student 15 progress:flag user:flag course_id user_id:user completed_at requirement_count:count
course_completed student 1 course_id user_id:user completed_at requirement_count:count
enrollment_created+enrollment_updated job 6 enrollment_id course_id user_id:user user_name:text type:role
    created_at updated_at limit_privileges_to_course_section:flag course_section_id associated_user_id
    workflow_state:state
enrollment_state_created+enrollment_state_updated job 8 enrollment_id state:state state_is_current:flag
    state_started_at state_valid_until_at access_is_current:flag restricted_access:flag
    state_invalidated_at
user_created+user_updated+user_account_association_created job 4 user_id:user uuid:uuid name:text
    short_name:text workflow_state:state created_at updated_at account_uuid:uuid is_admin:flag
sis_batch_created+sis_batch_updated job 0.6 sis_batch_id account_id workflow_state:state
account_created+account_updated job 0.3 account_id name:title root_account_id parent_account_id
    local_name:title workflow_state:state external_status:state
account_notification_created teacher 0.2 account_notification_id subject:title message:text icon:word
    start_at end_at
course_created+course_updated teacher 2 course_id uuid:uuid account_id name:title created_at updated_at
    workflow_state:state
course_section_created+course_section_updated job 1 course_section_id course_id root_account_id name:title
    workflow_state:state default_section:flag accepting_enrollments:flag start_at end_at
    stuck_sis_fields:word
syllabus_updated teacher 1 course_id syllabus_body:text old_syllabus_body:text
assignment_created+assignment_updated teacher 4 assignment_id context_type:word context_id
    assignment_group_id workflow_state:state title:title description:text due_at unlock_at lock_at
    updated_at points_possible:points lti_assignment_id:uuid lti_resource_link_id_duplicated_from:uuid
    submission_types:word
assignment_group_created+assignment_group_updated teacher 1 assignment_group_id context_type:word
    context_id name:title position:count group_weight:points rules:text workflow_state:state
assignment_override_created+assignment_override_updated teacher 2 assignment_override_id assignment_id
    due_at all_day:flag all_day_date:word unlock_at lock_at type:word course_section_id
    workflow_state:state
quiz_created+quiz_updated teacher 1.5 quiz_id assignment_id title:title quiz_type:word
    points_possible:points due_at workflow_state:state
quiz_export_complete+quizzes_next_quiz_duplicated+quizzes_next_migration_urls_complete job 0.3
    original_course_uuid:uuid new_course_uuid:uuid assignment_id new_assignment_id
rubric_assessed teacher 6 id:count aligned_to_assignment_id artifact_id artifact_type:word submitter_id
    assessment_type:word updated_at created_at
wiki_page_created+wiki_page_updated+wiki_page_deleted teacher 3 wiki_page_id title:title body:text
module_created+module_updated teacher 2 module_id context_type:word context_id name:title position:count
    workflow_state:state
module_item_created+module_item_updated teacher 4 module_item_id module_id context_type:word context_id
    position:count workflow_state:state
group_created+group_updated teacher 1 group_id uuid:uuid group_name:title group_category_id
    context_type:word context_id account_id workflow_state:state max_membership:count
group_category_created+group_category_updated teacher 0.5 group_category_id group_category_name:title
    context_type:word context_id group_limit:count
group_membership_created+group_membership_updated student 3 group_membership_id user_id:user group_id
    group_name:title group_category_id workflow_state:state
lti_resource_link_created+lti_resource_link_updated teacher 1 id:count lookup_uuid:uuid
    resource_link_uuid:uuid context_type:word context_id title:title url:url
learning_outcome_created+learning_outcome_updated teacher 0.5 learning_outcome_id context_type:word
    context_id display_name:title short_description:text description:text vendor_guid:word
    calculation_method:word calculation_int:count title:title workflow_state:state updated_at
learning_outcome_group_created+learning_outcome_group_updated teacher 0.3 learning_outcome_group_id
    context_type:word context_id title:title description:text parent_outcome_group_id workflow_state:state
learning_outcome_link_created+learning_outcome_link_updated teacher 0.3 learning_outcome_link_id
    learning_outcome_id learning_outcome_group_id context_type:word context_id workflow_state:state
learning_outcome_result_created+learning_outcome_result_updated teacher 5 learning_outcome_id result_id
    mastery:flag score:points possible:points attempt:count percent:points original_score:points
    created_at submitted_at
outcome_proficiency_created+outcome_proficiency_updated+outcome_calculation_method_created teacher 0.2
    outcome_proficiency_id context_type:word context_id workflow_state:state
outcome_calculation_method_updated+outcome_friendly_description_created teacher 0.2
    outcome_calculation_method_id context_type:word context_id calculation_method:word
    calculation_int:count workflow_state:state
outcome_friendly_description_updated teacher 0.2 outcome_friendly_description_id context_type:word
    context_id description:text workflow_state:state
content_export_created+content_migration_completed job 0.5 content_migration_id context_id
    context_type:word context_uuid:uuid import_quizzes_next:flag source_course_lti_id:uuid
    destination_course_lti_id:uuid
master_template_created+master_migration_completed job 0.2 master_template_id master_course_id
    migration_id
blueprint_subscription_created+blueprint_subscription_deleted job 0.3 master_template_id
    master_template_account_uuid:uuid child_course_id
default_blueprint_restrictions_updated+blueprint_restrictions_updated teacher 0.3 canvas_assignment_id
    canvas_course_id canvas_course_uuid:uuid restrictions:flag use_default_restrictions:flag
outcomes.retry_outcome_alignment_clone job 0.2 original_course_uuid:uuid new_course_uuid:uuid
    new_course_resource_link_id:uuid status:state
scan_youtube_links+convert_new_quiz_youtube_link job 0.3 scan_id course_id course_name:title
    external_context_id:uuid
heartbeat job 1 environment:word region:word
"""

_WORDS: Final = (
    "assignments",
    "files",
    "wiki",
    "announcements",
    "Course",
    "Assignment",
    "view",
    "participate",
)
_TITLES: Final = (
    "Reading list",
    "Week 7: primary sources",
    "Lab notes",
    "Übungsblatt 4",
    "Final project brief",
)
_TEXTS: Final = (
    "<p>Please read chapter three before the next session and bring two questions.</p>",
    "Thank you, this helps a lot! 👍",
    '<p>See the <a href="https://canvas.example.edu/files/1">handout</a>; the deadline stays on Sunday.</p>',
)
_STATES: Final = ("active", "available", "published", "completed", "submitted", "created")

Draw = Callable[[Random, int, Person], Any]
"""Gives a field's value: from the random stream, the time and the person who acts."""


def _id(rng: Random, _time_ms: int, _person: Person) -> str:
    return global_id(1 + int(rng.random() * 10_000_000))


def _ids(rng: Random, time_ms: int, person: Person) -> list[str]:
    return [_id(rng, time_ms, person)]


def _time(rng: Random, time_ms: int, _person: Person) -> str:
    return second_text(time_ms - int(rng.random() * rng.random() * DAY_MS))


def _uuid(rng: Random, _time_ms: int, _person: Person) -> str:
    return f"{rng.getrandbits(160):040x}"


def _count(rng: Random, _time_ms: int, _person: Person) -> int:
    return 1 + int(10 * rng.random())


def _points(rng: Random, _time_ms: int, _person: Person) -> float:
    return int(200 * rng.random()) / 2


def _flag(rng: Random, _time_ms: int, _person: Person) -> bool:
    return rng.random() < 0.5


def _user(_rng: Random, _time_ms: int, person: Person) -> str:
    return person.global_id


def _role(_rng: Random, _time_ms: int, person: Person) -> str:
    return person.role


def one_of(values: Sequence[str], rng: Random) -> str:
    """Choose as random.choice does, in a fifth of its time."""
    return values[int(len(values) * rng.random())]


def _from(values: Sequence[str]) -> Draw:
    def draw(rng: Random, _time_ms: int, _person: Person) -> str:
        return one_of(values, rng)

    return draw


_DRAWS: Final[dict[str, Draw]] = {
    "id": _id,
    "ids": _ids,
    "at": _time,
    "uuid": _uuid,
    "count": _count,
    "points": _points,
    "flag": _flag,
    "user": _user,
    "role": _role,
    "word": _from(_WORDS),
    "title": _from(_TITLES),
    "text": _from(_TEXTS),
    "state": _from(_STATES),
    "url": _from(("https://canvas.example.edu/",)),
}


class Shape:
    """One event name: who causes it, how often it comes and what its body holds."""

    __slots__ = ("_fields", "name", "origin", "weight")

    def __init__(self, name: str, origin: str, weight: float, fields: Sequence[str]) -> None:
        self.name = name
        self.origin = origin
        """student, teacher or job."""
        self.weight = weight
        self._fields = tuple(_field(field) for field in fields)

    def body(self, rng: Random, time_ms: int, person: Person) -> Fields:
        """Draw a body."""
        return {field: draw(rng, time_ms, person) for field, draw in self._fields}


def _field(text: str) -> tuple[str, Draw]:
    name, _, kind = text.partition(":")
    return name, _DRAWS[kind or name.rpartition("_")[2]]


def read_shapes() -> tuple[Shape, ...]:
    """Give every event name but the four about grades."""
    shapes: list[Shape] = []
    for line in _TABLE.strip().replace("\n    ", " ").split("\n"):
        names, origin, weight, *fields = line.split()
        shapes.extend(Shape(name, origin, float(weight), fields) for name in names.split("+"))
    return tuple(shapes)
