"""Course drops: opened score drops, told by course to the worker that watches for many at once."""

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.fields import EventId, Id, RootAccountUuid, Time
from models.records import problems_of
from models.times import epoch_ms


class CourseDrop(BaseModel):
    """A student's score drop, as it opened: the value of the `course-drops` topic, which is for staff."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    alert_id: EventId = Field(description="The alert of rule score_drop that opened; repeats have the same.")
    event_id: EventId = Field(description="The event that led to it.")
    event_time: Time = Field(description="That event's time, which decides the window it counts in.")
    root_account_uuid: RootAccountUuid = Field(description="The school: uuid of the root account.")
    course_id: Id = Field(description="The course.")
    user_id: Id = Field(description="The student.")

    @property
    def key(self) -> bytes:
        """The message key: `root_account_uuid:course_id`, so that a course's drops meet in one place."""
        return f"{self.root_account_uuid}:{self.course_id}".encode()

    @property
    def event_time_ms(self) -> int:
        """The event time in milliseconds since 1970."""
        return epoch_ms(self.event_time)


def encode_course_drop(drop: CourseDrop) -> bytes:
    """Return the drop as JSON with every field."""
    return orjson.dumps(drop.__dict__)


def decode_course_drop(value: bytes) -> CourseDrop:
    """Return the drop that `encode_course_drop` wrote; ValueError, naming no value, on others."""
    try:
        drop = CourseDrop.model_validate_json(value)
        drop.event_time_ms  # noqa: B018  a day may be no day, such as a 30th of February
    except ValidationError as error:
        problems = problems_of(error)
    except ValueError:
        problems = "event_time: no such day"
    else:
        return drop
    raise ValueError(f"not a course drop ({problems})")
