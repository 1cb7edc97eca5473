"""A quick way to read grade events that are written as documented, which nearly all are.

One typed decoder for each event checks in passing what the strict reading asks value by value. It skips
nothing, because it could not vouch for what it skipped: an event with a field that is not documented, or with
a value of another type, is left to the strict reading, and so is whatever is wrong.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from models.building import SHAPES, Fields, hints_of
from models.canvas import GRADE_EVENTS, CanvasId, CanvasIdOrEmpty
from models.fields import MAX_ID_DIGITS, Id, RootAccountUuid, Score, StatusName, Time
from models.records import RECORD_TYPES, GradeChange, GradeRecord, GradeRecordBase
from models.times import canonical_time, is_after
from models.values import job_of, lenient_id, optional_id, shard_of

_IDS_KNOWN: Final = 4_096

_asdict = msgspec.structs.asdict

# The same courses and teachers come again and again. No id is long: the decoder has seen to it.
_shard_of = lru_cache(maxsize=_IDS_KNOWN)(shard_of)
_lenient_id = lru_cache(maxsize=_IDS_KNOWN)(lenient_id)


class _Metadata(Protocol):
    """What is read of an event's metadata."""

    event_time: str
    root_account_uuid: str
    root_account_id: str | None
    context_type: str | None
    context_id: str | None
    user_id: str | None
    job_id: str | None


class _Event(Protocol):
    """A decoded event. Its body has the fields of the record, in order, and after them its others."""

    metadata: _Metadata
    body: msgspec.Struct


class _Form(NamedTuple):
    """How events of one name are read."""

    build: Callable[[Fields], GradeRecord]
    is_grade_change: bool
    """Whether the course is told by the metadata, and a submission required instead."""
    decode: Callable[[bytes], Any]
    """Returns an `_Event`."""
    ids: tuple[str, ...]
    times: tuple[str, ...]
    texts: tuple[str, ...]
    others: tuple[str, ...]
    """Fields of the body that are not the record's."""


def read_documented(value: bytes, name: str, latest_ms: int | None) -> GradeRecord | None:
    """Return the record of an event with this name of the four; None when the strict reading must look at it.

    An event after `latest_ms`, in milliseconds since 1970, is one of the future; None sets no bound.
    """
    try:
        return _read(_FORMS[name], value, name, latest_ms)
    except ValueError:
        return None


def _read(form: _Form, value: bytes, name: str, latest_ms: int | None) -> GradeRecord | None:
    event: _Event = form.decode(value)
    metadata = event.metadata
    event_time = canonical_time(metadata.event_time)
    if event_time is None or (latest_ms is not None and is_after(event_time, latest_ms)):
        return None
    shard = _shard_of(metadata.context_id, metadata.root_account_id)
    fields = _asdict(event.body)
    for field in form.ids:
        fields[field] = optional_id(fields[field], shard)
    for field in form.times:
        if (given := fields[field]) is not None:
            fields[field] = time = canonical_time(given)
            if time is None:
                return None
    for field in form.texts:
        fields[field] = fields[field] or None
    for field in form.others:
        del fields[field]
    if form.is_grade_change:
        required = fields["submission_id"]
        fields["course_id"] = (
            _lenient_id(metadata.context_id, shard) if metadata.context_type == "Course" else None
        )
    else:
        required = fields["course_id"]
    if required is None or fields["user_id"] is None:
        return None
    fields["type"] = name
    fields["event_time"] = event_time
    fields["root_account_uuid"] = metadata.root_account_uuid
    fields["actor_id"] = _lenient_id(metadata.user_id, shard)
    fields["job_id"] = job_of(metadata.job_id)
    return form.build(fields)


def _form_of(name: str) -> _Form:
    event = hints_of(GRADE_EVENTS[name])
    metadata, body = hints_of(event["metadata"]), hints_of(event["body"])
    record = hints_of(RECORD_TYPES[name])
    own = {field: hint for field, hint in record.items() if field not in GradeRecordBase.model_fields}
    others = {field: hint for field, hint in body.items() if field not in record}
    required = _REQUIRED | {"event_name": metadata["event_name"]}
    parts = {"metadata": _struct(metadata, required), "body": _struct(record | others)}
    return _Form(
        build=RECORD_TYPES[name].from_checked,
        is_grade_change=RECORD_TYPES[name] is GradeChange,
        decode=msgspec.json.Decoder(_struct({}, parts)).decode,
        ids=tuple(field for field, hint in body.items() if hint in (CanvasId, CanvasIdOrEmpty)),
        times=tuple(field for field, hint in own.items() if hint == Time),
        texts=tuple(field for field, hint in own.items() if hint in (str, StatusName)),
        others=tuple(others),
    )


_REQUIRED: Final[dict[str, Any]] = {"event_time": str, "root_account_uuid": SHAPES[RootAccountUuid]}
"""Fields of the metadata without which there is no record."""

_ID: Final = Annotated[str, Meta(max_length=MAX_ID_DIGITS)]
_SHAPES: Final[Mapping[Any, Any]] = {
    bool: bool,
    Score: SHAPES[Score],
    StatusName: SHAPES[StatusName],
    **dict.fromkeys((Id, CanvasId, CanvasIdOrEmpty), _ID),
}
"""What JSON has to have for a field's declared type. All other types are kinds of text."""


def _struct(optional: Mapping[str, Any], required: Mapping[str, Any] = {}) -> type[msgspec.Struct]:
    """Return a type with these fields and no others."""
    fields = {field: (field, _SHAPES.get(hint, str) | None, None) for field, hint in optional.items()}
    return msgspec.defstruct(
        "Documented",
        [*(fields | {field: (field, shape) for field, shape in required.items()}).values()],
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )


_FORMS: Final[Mapping[str, _Form]] = {name: _form_of(name) for name in GRADE_EVENTS}
