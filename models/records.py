"""Grade records: what the four Canvas grade events become once they are read.

A record is typed, frozen and free of personal data but for ids. Null means unknown, never zero. The JSON
form carries every field, always, and is the value of the `grade-records` topic.
"""

import hashlib
from collections.abc import Callable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.building import Fields, builder_of, reader_of
from models.fields import EventId, Id, RootAccountUuid, Score, StatusName, Time
from models.times import epoch_ms


class GradeRecordBase(BaseModel):
    """What every grade record has."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    COMMON_IDENTITY: ClassVar[tuple[str, ...]] = (
        "type",
        "event_time",
        "root_account_uuid",
        "user_id",
        "course_id",
    )
    OWN_IDENTITY: ClassVar[tuple[str, ...]]
    """The type's own fields that the event id is taken over. Fixed for ever: no later field joins it."""

    event_id: EventId = Field(description="Identifies the event: the same event has the same id, for ever.")
    type: str
    event_time: Time = Field(description="When Canvas emitted the event.")
    root_account_uuid: RootAccountUuid = Field(description="The school: uuid of the root account.")
    user_id: Id = Field(description="The student.")
    course_id: Id | None = Field(description="The course; null when the event did not name one.")
    actor_id: Id | None = Field(
        default=None, description="Who caused the event; null for jobs, the student for a scored quiz."
    )
    job_id: str | None = Field(default=None, description="The Canvas background job that emitted the event.")

    @property
    def key(self) -> bytes:
        """The message key of everything about this student: `root_account_uuid:user_id`."""
        return f"{self.root_account_uuid}:{self.user_id}".encode()

    @property
    def event_time_ms(self) -> int:
        """The event time in milliseconds since 1970."""
        return epoch_ms(self.event_time)

    @classmethod
    def from_checked(cls, fields: Fields) -> Self:
        """Build a record from values that are known to be right, adding its event id.

        `fields` has every field in the order of the class, `event_id` with any value; it becomes the
        record's own. The reader of raw events has checked every value already, and checking them again
        would cost more than all the rest of reading.
        """
        fields["event_id"] = event_id(cls, fields)
        record: Self = _build[cls](fields)
        return record


class CourseGradeChange(GradeRecordBase):
    """A student's scores in a course, whenever one of them changed."""

    OWN_IDENTITY: ClassVar[tuple[str, ...]] = (
        "workflow_state",
        "created_at",
        "updated_at",
        "current_score",
        "old_current_score",
        "final_score",
        "old_final_score",
        "unposted_current_score",
        "old_unposted_current_score",
        "unposted_final_score",
        "old_unposted_final_score",
    )

    type: Literal["course_grade_change"] = "course_grade_change"
    course_id: Id = Field(description="The course.")
    workflow_state: str | None = Field(
        default=None, description='"deleted" closes the course; anything else, null too, means active.'
    )
    created_at: Time | None = Field(default=None, description="When the score row was created.")
    updated_at: Time | None = Field(default=None, description="When the score row was last written.")
    current_score: Score | None = Field(
        default=None, description="Percent of what is graded and posted; ungraded work does not count."
    )
    old_current_score: Score | None = Field(default=None, description="The same before the change.")
    final_score: Score | None = Field(
        default=None, description="Percent over posted work, where ungraded work counts as zero."
    )
    old_final_score: Score | None = Field(default=None, description="The same before the change.")
    unposted_current_score: Score | None = Field(
        default=None, description="As current_score, with grades not posted yet. For staff only."
    )
    old_unposted_current_score: Score | None = Field(default=None, description="The same before the change.")
    unposted_final_score: Score | None = Field(
        default=None, description="As final_score, with grades not posted yet. For staff only."
    )
    old_unposted_final_score: Score | None = Field(default=None, description="The same before the change.")

    @property
    def is_deleted(self) -> bool:
        """Whether the score row was deleted, which closes the course."""
        return self.workflow_state == "deleted"


class GradeChange(GradeRecordBase):
    """A graded submission: a new grade, but also posting, hiding, rescaling or a plain repeat."""

    OWN_IDENTITY: ClassVar[tuple[str, ...]] = (
        "submission_id",
        "assignment_id",
        "grade",
        "old_grade",
        "score",
        "old_score",
        "points_possible",
        "old_points_possible",
        "grader_id",
        "grading_complete",
        "muted",
    )

    type: Literal["grade_change"] = "grade_change"
    submission_id: Id = Field(description="The submission.")
    assignment_id: Id | None = Field(default=None, description="The assignment submitted to.")
    grade: str | None = Field(
        default=None, description="The grade as shown, such as B+ or 87.5%; for display only."
    )
    old_grade: str | None = Field(default=None, description="The grade as shown before.")
    score: Score | None = Field(
        default=None, description="The points given; null when ungraded, cleared or excused."
    )
    old_score: Score | None = Field(
        default=None, description="The points of the submission's previous version, which may be long past."
    )
    points_possible: Score | None = Field(
        default=None, description="The points to be had in the assignment; may be 0."
    )
    old_points_possible: Score | None = Field(default=None, description="The same before the change.")
    grader_id: Id | None = Field(default=None, description="Who graded; null for automatic grading.")
    grading_complete: bool | None = Field(
        default=None, description="False while a part is still to be graded; unknown means false."
    )
    muted: bool | None = Field(
        default=None, description="True while hidden from the student; unknown means true."
    )

    @property
    def is_muted(self) -> bool:
        """Whether the grade is hidden from the student; true when unknown."""
        return self.muted is not False

    @property
    def is_complete(self) -> bool:
        """Whether the whole submission is graded; false when unknown."""
        return self.grading_complete is True


class GradeOverride(GradeRecordBase):
    """A final grade set by hand over the computed one, or taken back."""

    OWN_IDENTITY: ClassVar[tuple[str, ...]] = (
        "score_id",
        "enrollment_id",
        "grading_period_id",
        "override_score",
        "old_override_score",
        "updated_at",
    )

    type: Literal["grade_override"] = "grade_override"
    course_id: Id = Field(description="The course.")
    score_id: Id | None = Field(default=None, description="The score row.")
    enrollment_id: Id | None = Field(
        default=None, description="The enrolment; one event is sent for each section."
    )
    grading_period_id: Id | None = Field(
        default=None, description="The grading period; null for the course as a whole."
    )
    override_score: Score | None = Field(
        default=None, description="Percent set by hand; null when the override was removed."
    )
    old_override_score: Score | None = Field(default=None, description="The same before the change.")
    updated_at: Time | None = Field(default=None, description="When the override was made.")


class MisnamedGradeOverride(GradeOverride):
    """An override that came under the name `grade_change`, as in the Canvas documentation's example."""


class FinalGradeCustomStatus(GradeRecordBase):
    """A custom status put on a student's final grade, or taken off."""

    OWN_IDENTITY: ClassVar[tuple[str, ...]] = (
        "score_id",
        "enrollment_id",
        "grading_period_id",
        "override_status",
        "override_status_id",
        "old_override_status",
        "old_override_status_id",
        "updated_at",
    )

    type: Literal["final_grade_custom_status"] = "final_grade_custom_status"
    course_id: Id = Field(description="The course.")
    score_id: Id | None = Field(default=None, description="The score row.")
    enrollment_id: Id | None = Field(
        default=None, description="The enrolment; one event is sent for each section."
    )
    grading_period_id: Id | None = Field(
        default=None, description="The grading period; null for the course as a whole."
    )
    override_status: StatusName | None = Field(
        default=None, description="The status's name; null when it was removed."
    )
    override_status_id: Id | None = Field(default=None, description="The status's id.")
    old_override_status: StatusName | None = Field(default=None, description="The name before the change.")
    old_override_status_id: Id | None = Field(default=None, description="The id before the change.")
    updated_at: Time | None = Field(default=None, description="When the status was applied or removed.")


GradeRecord: TypeAlias = CourseGradeChange | GradeChange | GradeOverride | FinalGradeCustomStatus

RECORD_TYPES: Mapping[str, type[GradeRecord]] = MappingProxyType(
    {
        "course_grade_change": CourseGradeChange,
        "grade_change": GradeChange,
        "grade_override": GradeOverride,
        "final_grade_custom_status": FinalGradeCustomStatus,
    }
)

_identity_of: Mapping[type[GradeRecordBase], Callable[[Mapping[str, Any]], object]] = {
    record_type: itemgetter(*GradeRecordBase.COMMON_IDENTITY, *record_type.OWN_IDENTITY)
    for record_type in (*RECORD_TYPES.values(), MisnamedGradeOverride)
}
_build: Mapping[type[GradeRecordBase], Callable[[Fields], Any]] = {
    record_type: builder_of(record_type) for record_type in _identity_of
}


def event_id(record_type: type[GradeRecordBase], fields: Mapping[str, Any]) -> str:
    """Return the id of an event whose record has these fields.

    It is the first 32 hexadecimal digits of the SHA-256 over the JSON array of the identifying fields, as
    `orjson` writes it. The bytes are a contract: ids must stay the same across releases and bridges.
    """
    identity = orjson.dumps(_identity_of[record_type](fields))
    return hashlib.sha256(identity).hexdigest()[:32]


def encode_record(record: GradeRecord) -> bytes:
    """Return the record as JSON with every field, null when unknown."""
    return orjson.dumps(record.__dict__)


def problems_of(error: ValidationError, *, depth: int = 0) -> str:
    """Return which fields are wrong and how, without any of their values.

    `depth` is where in an error's location the field's name stands.
    """
    return ", ".join(
        f"{''.join(map(str, problem['loc'][depth : depth + 1])) or 'value'}: {problem['type']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


_records: TypeAdapter[GradeRecord] = TypeAdapter(Annotated[GradeRecord, Field(discriminator="type")])

_TYPE_AT = len(b'{"event_id":"0123456789abcdef0123456789abcdef","type":"')
"""Where `encode_record` writes a record's type."""

_readers: Mapping[bytes, Callable[[bytes], GradeRecord | None]] = {
    name.encode(): reader_of(record_type) for name, record_type in RECORD_TYPES.items()
}


def decode_record(value: bytes) -> GradeRecord:
    """Return the record that `encode_record` wrote; ValueError, naming fields but no values, on others.

    Fields it does not know are passed over, and optional ones may be missing, so that releases next to
    each other can read each other's records.
    """
    read = _readers.get(value[_TYPE_AT : value.find(b'"', _TYPE_AT)])
    if read is not None and (quick := read(value)) is not None:
        return quick
    try:
        record = _records.validate_json(value)
        # What looks like a time may have a day that is none, such as a 30th of February.
        epoch_ms(record.event_time)
        if not isinstance(record, GradeChange) and record.updated_at is not None:
            epoch_ms(record.updated_at)
    except ValidationError as error:
        problems = problems_of(error, depth=1)  # below the record's type
    except ValueError:
        problems = "event_time or updated_at: no such day"
    else:
        return record
    raise ValueError(f"not a grade record ({problems})")
