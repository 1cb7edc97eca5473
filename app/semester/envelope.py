"""What is around a body: times, metadata of web requests and background jobs, and the bytes in the end."""

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from time import gmtime, strftime
from typing import Any, Final, Literal, NamedTuple

import orjson

from app.semester.courses import Course
from app.semester.options import DAY_MS
from app.semester.people import Person, School, global_id
from models.canvas import GRADE_EVENTS, Metadata

GradeEventName = Literal["course_grade_change", "grade_change", "grade_override", "final_grade_custom_status"]
Kind = GradeEventName | Literal["other", "poison"]
Fields = dict[str, Any]
"""A JSON object on its way out."""


class RawEvent(NamedTuple):
    """One message for the raw topic, and what the simulation knows about it."""

    value: bytes | None
    """The message's value, or None for a tombstone."""
    event_time_ms: int
    """When Canvas emitted the event, in epoch milliseconds."""
    student: bytes | None
    """Key of the student whom the event is about, for placing (never sent as the message's key)."""
    kind: Kind
    name: str
    """The event's name; for poison the reason for which it must be rejected."""
    repeated: bool = False
    """Whether an equal event came before."""


class Writer:
    """Writes events as Canvas does, in the fields that `models.canvas` has and no others.

    The types decide what may be written, but are not asked for every event: validating and dumping would
    cost more than the whole simulation. An event is a dict, and the first one of each shape (name and fields
    present) is read by its type and compared with what the type writes itself. A field that the type doesn't
    know, lacks or takes for something else stops the generator there. The tests ask for every event.
    """

    __slots__ = ("_known_shapes",)

    def __init__(self) -> None:
        self._known_shapes: set[tuple[str, ...]] = set()

    def write(self, name: str, metadata: Fields, body: Fields) -> bytes:
        """Return the JSON of an event; ValueError when its type would not write the same."""
        event = {"metadata": metadata, "body": body}
        shape = (name, *metadata, *body)
        if shape not in self._known_shapes:
            check_against_type(name, event)
            self._known_shapes.add(shape)
        return orjson.dumps(event)


def check_against_type(name: str, event: Mapping[str, Any]) -> None:
    """Raise ValueError unless the type of that name reads the event and writes it as it is.

    Of the events about no grade only the metadata have a type.
    """
    event_type = GRADE_EVENTS.get(name)
    if event_type is None:
        given = event["metadata"]
        written = Metadata.model_validate(given, strict=True).model_dump(exclude_unset=True)
    else:
        given = event
        written = event_type.model_validate(given, strict=True).model_dump(exclude_unset=True)
    if written != given:
        raise ValueError(f"{name}: models.canvas does not write these fields")


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:", gmtime(minutes * 60))


def time_text(epoch_ms: int) -> str:
    """Give a time in UTC with milliseconds, as in metadata."""
    minutes, rest = divmod(epoch_ms, 60_000)
    seconds, milliseconds = divmod(rest, 1000)
    return f"{_minute(minutes)}{seconds:02d}.{milliseconds:03d}Z"


def second_text(epoch_ms: int) -> str:
    """Give a time in UTC with whole seconds, as in bodies."""
    minutes, rest = divmod(epoch_ms, 60_000)
    return f"{_minute(minutes)}{rest // 1000:02d}Z"


def without_nulls(body: Fields) -> Fields:
    """Drop the fields that are null: Canvas sends none of them in a body (`payload.compact!`)."""
    return {name: value for name, value in body.items() if value is not None}


class Envelope:
    """Builds metadata. Their ids are global, and unlike a body's fields they may be null.

    Jobs are numbered upwards from `first_job_id`, which is local.
    """

    __slots__ = ("_account", "_hostname", "_job_ids", "_rng")

    def __init__(self, school: School, rng: Random, first_job_id: int) -> None:
        self._rng = rng
        self._hostname = school.hostname
        self._account: Final = {
            "root_account_uuid": school.root_account_uuid,
            "root_account_id": school.root_account_id,
            "root_account_lti_guid": f"{school.root_account_uuid}.{school.hostname}",
        }
        self._job_ids = first_job_id

    def new_job_id(self) -> str:
        """Give the id of another background job."""
        self._job_ids += 1 + int(7 * self._rng.random())
        return global_id(self._job_ids)

    def job(self, name: str, time_ms: int, course: Course | None, job_id: str, job_tag: str) -> Fields:
        """Metadata of a background job: nothing about a user or a request."""
        metadata: Fields = {**self._account, "job_id": job_id, "job_tag": job_tag}
        if course is not None:
            metadata["context_type"] = "Course"
            metadata["context_id"] = course.global_id
            metadata["context_sis_source_id"] = course.sis_source_id
            metadata["context_account_id"] = course.account_id
        metadata["producer"] = "canvas"
        metadata["event_name"] = name
        metadata["event_time"] = time_text(time_ms)
        return metadata

    def request(
        self,
        name: str,
        time_ms: int,
        course: Course | None,
        person: Person,
        method: str,
        path: str,
        referrer: str | None,
    ) -> Fields:
        """Metadata of a web request; `path` and `referrer` are paths on the school's own host."""
        root = f"https://{self._hostname}"
        request = f"{self._rng.getrandbits(128):032x}"
        metadata: Fields = {
            **self._account,
            "user_login": person.login,
            "user_account_id": self._account["root_account_id"],
            "user_sis_id": person.sis_id,
            "user_id": person.global_id,
            "time_zone": "America/Denver",
        }
        if course is not None:
            metadata["context_type"] = "Course"
            metadata["context_id"] = course.global_id
            metadata["context_sis_source_id"] = course.sis_source_id
            metadata["context_account_id"] = course.account_id
            metadata["context_role"] = person.role
        metadata["request_id"] = (
            f"{request[:8]}-{request[8:12]}-{request[12:16]}-{request[16:20]}-{request[20:]}"
        )
        metadata["session_id"] = f"{person.session}{time_ms // DAY_MS & 0xFFFF:04x}"
        metadata["hostname"] = self._hostname
        metadata["http_method"] = method
        metadata["user_agent"] = person.user_agent
        metadata["client_ip"] = person.client_ip
        metadata["url"] = root + path
        metadata["referrer"] = None if referrer is None else root + referrer
        metadata["producer"] = "canvas"
        metadata["event_name"] = name
        metadata["event_time"] = time_text(time_ms)
        return metadata
