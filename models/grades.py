"""Step 1: read one raw Canvas event into a grade record, or say why not.

Bad input is a value here, never an exception. Most of what Canvas sends is about something else, so the
name is looked up first with a decoder that skips all the rest; only the four grade events are parsed whole,
and those strictly, so that what is read from them is what every JSON parser reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias, get_args, get_type_hints

import msgspec
import orjson

from models.canvas import GRADE_EVENT_NAMES
from models.documented import read_documented
from models.fields import MAX_UUID_CHARACTERS, Id, Score, StatusName, Time
from models.records import (
    RECORD_TYPES,
    GradeChange,
    GradeRecord,
    GradeRecordBase,
    MisnamedGradeOverride,
)
from models.times import is_after
from models.values import (
    WrongError,
    course_of,
    flag,
    job_of,
    lenient_id,
    number,
    optional_id,
    shard_of,
    status_name,
    text,
    time,
)


class Reason(StrEnum):
    """Why an event cannot be read. Where several hold, it is the first in this order."""

    EMPTY = "empty"
    """No value, or one without bytes: a tombstone too."""
    TOO_LARGE = "too_large"
    """More bytes than the limit."""
    NOT_UTF8 = "not_utf8"
    """The bytes are no UTF-8."""
    INVALID_JSON = "invalid_json"
    """No JSON, or beyond what is safe: byte order mark, NaN, lone surrogates, deep nesting, huge numbers."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but no object."""
    MISSING_METADATA = "missing_metadata"
    """Neither `metadata` nor `attributes`."""
    MISSING_EVENT_NAME = "missing_event_name"
    """No name to know the event by."""
    INVALID_METADATA = "invalid_metadata"
    """No object, a name that is no text, or no good root_account_uuid or event_time."""
    FUTURE_EVENT = "future_event"
    """The event's time is too far ahead of its message's."""
    INVALID_BODY = "invalid_body"
    """A required field is missing from the body, or a field is of a wrong type."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much is put up with."""

    max_value_bytes: int = 1_048_576
    max_future_ms: int = 86_400_000
    """How far an event's time may be ahead of its message's Kafka timestamp, in milliseconds."""


DEFAULT_LIMITS: Final = ReadLimits()


class Ignored(msgspec.Struct, frozen=True):
    """An event of another kind; whether the rest of it is sound was not looked at."""

    event_name: str


class Rejected(msgspec.Struct, frozen=True):
    """An event that cannot be read."""

    reason: Reason
    detail: str
    """Which field and what is wrong with it, never its value."""
    event_name: str | None = None
    """The name it came under, where that could be read."""


def read(
    value: bytes | None, timestamp: int | None = None, *, limits: ReadLimits = DEFAULT_LIMITS
) -> GradeRecord | Ignored | Rejected:
    """Return what a raw message says.

    `timestamp` is the message's Kafka timestamp in milliseconds; without one (None or negative) events of
    the future are not told. An override that came as `grade_change` is a `MisnamedGradeOverride`.
    """
    if not value:
        return Rejected(Reason.EMPTY, "value: empty")
    if len(value) > limits.max_value_bytes:
        return Rejected(Reason.TOO_LARGE, f"value: more than {limits.max_value_bytes} bytes")
    try:
        header = _decode_header(value)
    except (ValueError, RecursionError):
        name = None  # let the strict reading say what is wrong
    else:
        metadata = header.metadata or header.attributes
        name = metadata and metadata.event_name
        if name and name not in GRADE_EVENT_NAMES:
            return Ignored(name)
    latest_ms = None if timestamp is None or timestamp < 0 else timestamp + limits.max_future_ms
    record = read_documented(value, name, latest_ms) if name else None
    return record or _read_strictly(value, latest_ms, limits)


class _Named(msgspec.Struct, gc=False):
    event_name: str | None = None


class _Header(msgspec.Struct, gc=False):
    metadata: _Named | None = None
    attributes: _Named | None = None


_decode_header = msgspec.json.Decoder(_Header).decode

_Object: TypeAlias = dict[str, Any]


def _read_strictly(
    value: bytes, latest_ms: int | None, limits: ReadLimits
) -> GradeRecord | Ignored | Rejected:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return _not_json(value, error.pos)
    if type(event) is not dict:
        return Rejected(Reason.NOT_AN_OBJECT, "value: not an object")
    about = "attributes" if event.get("metadata") is None else "metadata"
    metadata = event.get(about)
    if metadata is None:
        return Rejected(Reason.MISSING_METADATA, "metadata: missing")
    if type(metadata) is not dict:
        return Rejected(Reason.INVALID_METADATA, f"{about}: not an object")
    name = metadata.get("event_name")
    if name is None or name == "":
        return Rejected(Reason.MISSING_EVENT_NAME, f"{about}.event_name: missing")
    if type(name) is not str:
        return Rejected(Reason.INVALID_METADATA, f"{about}.event_name: not a text")
    if name not in GRADE_EVENT_NAMES:
        return Ignored(name)

    root_account_uuid = metadata.get("root_account_uuid")
    if type(root_account_uuid) is not str or not 0 < len(root_account_uuid) <= MAX_UUID_CHARACTERS:
        detail = f"{about}.root_account_uuid: not a text of 1 to {MAX_UUID_CHARACTERS} characters"
        return Rejected(Reason.INVALID_METADATA, detail, name)
    try:
        event_time = time(metadata.get("event_time"), None)
    except WrongError as wrong:
        return Rejected(Reason.INVALID_METADATA, f"{about}.event_time: {wrong}", name)
    if latest_ms is not None and is_after(event_time, latest_ms):
        detail = f"{about}.event_time: more than {limits.max_future_ms} ms ahead of the message"
        return Rejected(Reason.FUTURE_EVENT, detail, name)
    return _read_body(event.get("body"), metadata, name, root_account_uuid, event_time)


def _not_json(value: bytes, position: int) -> Rejected:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, f"value: not UTF-8 at byte {error.start}")
    return Rejected(
        Reason.INVALID_JSON, f"value: not JSON, or beyond its limits: stopped at character {position}"
    )


def _read_body(
    body: object, metadata: _Object, name: str, root_account_uuid: str, event_time: str
) -> GradeRecord | Rejected:
    if type(body) is not dict:
        return Rejected(Reason.INVALID_BODY, "body: not an object", name)
    record_type: type[GradeRecord] = RECORD_TYPES[name]
    if record_type is GradeChange and _is_override(body):
        # From here on it is one, for whoever counts it too.
        name, record_type = "grade_override", MisnamedGradeOverride
    shard = shard_of(metadata.get("context_id"), metadata.get("root_account_id"))
    field = "user_id"
    try:
        user_id = optional_id(body.get("user_id"), shard)
        if record_type is GradeChange:
            field = "student_id"  # the same person, says Canvas; it will do where user_id is missing
            student_id = optional_id(body.get("student_id"), shard)
            user_id = user_id or student_id
            course_id = course_of(metadata.get("context_type"), metadata.get("context_id"), shard)
            required = "submission_id"
        else:
            field = required = "course_id"
            course_id = optional_id(body.get("course_id"), shard)
        fields: _Object = {
            "event_id": None,
            "type": name,
            "event_time": event_time,
            "root_account_uuid": root_account_uuid,
            "user_id": user_id,
            "course_id": course_id,
            "actor_id": lenient_id(metadata.get("user_id"), shard),
            "job_id": job_of(metadata.get("job_id")),
        }
        for field, good_type, take in _OWN_FIELDS[record_type]:
            given = body.get(field)
            fields[field] = given if given is None or type(given) is good_type else take(given, shard)
    except WrongError as wrong:
        return Rejected(Reason.INVALID_BODY, f"body.{field}: {wrong}", name)
    if user_id is None:
        return Rejected(Reason.INVALID_BODY, "body.user_id: missing", name)
    if fields[required] is None:
        return Rejected(Reason.INVALID_BODY, f"body.{required}: missing", name)
    return record_type.from_checked(fields)


def _is_override(body: _Object) -> bool:
    """Whether the body of a `grade_change` is an override's, as in the Canvas documentation's example."""
    return body.get("submission_id") in (None, "") and (
        body.get("score_id") not in (None, "")
        or body.get("override_score") is not None
        or body.get("old_override_score") is not None
    )


_Reader: TypeAlias = tuple[type | None, Callable[[object, int | None], str | float | bool | None]]

_READERS: Mapping[object, _Reader] = {
    Id: (None, optional_id),
    Score: (float, number),
    Time: (None, time),
    str: (None, text),
    StatusName: (None, status_name),
    bool: (bool, flag),
}
"""By a field's declared type: the type of which every value is good as it is, and the reader of others."""


def _reader_of(hint: object) -> _Reader:
    return _READERS[hint] if hint in _READERS else _READERS[get_args(hint)[0]]  # the latter for `X | None`


_OWN_FIELDS = {
    record_type: tuple(
        (field, *_reader_of(hint))
        for field, hint in get_type_hints(record_type, include_extras=True).items()
        if field in record_type.model_fields and field not in GradeRecordBase.model_fields
    )
    for record_type in (*RECORD_TYPES.values(), MisnamedGradeOverride)
}
"""Each type's own fields, in order, with their readers."""
