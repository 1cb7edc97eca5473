"""Message headers: CloudEvents 1.0 for what is derived, and for dead letters why they are.

Headers are lists of name and bytes, in order, as Kafka keeps them. A dead letter's own headers stand first,
unchanged; ours follow and can be taken off again.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from models.alerts import Alert
from models.drops import CourseDrop
from models.grades import Rejected
from models.records import GradeRecord

Headers: TypeAlias = list[tuple[str, bytes]]

RAW_TIMESTAMP: Final = "gradewatch.raw_timestamp"
"""On a grade record and a course drop: the Kafka timestamp of the raw message, in milliseconds."""

RULES: Final = "gradewatch.rules"
"""On an alert: the digest of the rules that were active."""

REASON: Final = "gradewatch.reason"
DETAIL: Final = "gradewatch.detail"
VERSION: Final = "gradewatch.version"
FAILED_AT: Final = "gradewatch.failed_at"
TRUNCATED: Final = "gradewatch.truncated"
"""On a dead letter that had to be cut: the length of the whole value, in bytes."""

EXCEPTION: Final = "__streams.errors.exception"
MESSAGE: Final = "__streams.errors.message"
STACKTRACE: Final = "__streams.errors.stacktrace"
TOPIC: Final = "__streams.errors.topic"
PARTITION: Final = "__streams.errors.partition"
OFFSET: Final = "__streams.errors.offset"

DEAD_LETTER_HEADERS: Final = (
    *(REASON, DETAIL, VERSION, FAILED_AT, TRUNCATED),
    *(EXCEPTION, MESSAGE, STACKTRACE, TOPIC, PARTITION, OFFSET),
)
REJECTED_EXCEPTION: Final = b"gradewatch.Rejected"
"""Stands where Kafka Streams names the class of an exception; tools group dead letters by it."""

_DIGITS_OF_A_LONG: Final = 19
"""Of Kafka's greatest offset; what has as many digits or more is none."""

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""The largest message that the topic of dead letters takes."""
RECORD_OVERHEAD_BYTES: Final = 4096
"""Room for a message's lengths, its batch's header and the headers added here."""


def record_headers(record: GradeRecord, raw_timestamp: int | None) -> Headers:
    """Return the headers of a grade record; `raw_timestamp` in milliseconds, None or negative for none."""
    headers = _cloud_event(
        "gradewatch.grade-record.v1",
        record.event_id,
        record.root_account_uuid,
        record.event_time,
        record.key,
    )
    if raw_timestamp is not None and raw_timestamp >= 0:
        headers.append((RAW_TIMESTAMP, b"%d" % raw_timestamp))
    return headers


def alert_headers(alert: Alert, rules: str) -> Headers:
    """Return the headers of an alert; `rules` is the digest of the rules that led to it."""
    headers = _cloud_event(
        "gradewatch.alert.v1", alert.alert_id, alert.root_account_uuid, alert.event_time, alert.key
    )
    headers.append((RULES, rules.encode()))
    return headers


def course_drop_headers(drop: CourseDrop, raw_timestamp: int | None) -> Headers:
    """Return the headers of a course drop; `raw_timestamp` in milliseconds, as its grade record has it."""
    headers = _cloud_event(
        "gradewatch.course-drop.v1", drop.alert_id, drop.root_account_uuid, drop.event_time, drop.key
    )
    if raw_timestamp is not None:
        headers.append((RAW_TIMESTAMP, b"%d" % raw_timestamp))
    return headers


def snapshot_headers(*, event_id: str, root_account_uuid: str, event_time: str, key: bytes) -> Headers:
    """Return the headers of a snapshot, or its tombstone, from the event that led to it and its key."""
    return _cloud_event("gradewatch.student-scores.v1", event_id, root_account_uuid, event_time, key)


def _cloud_event(ce_type: str, ce_id: str, root_account_uuid: str, event_time: str, key: bytes) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", ce_id.encode()),
        ("ce_source", f"gradewatch/{root_account_uuid}".encode()),
        ("ce_type", ce_type.encode()),
        ("ce_time", event_time.encode()),
        ("ce_subject", key),
        ("content-type", b"application/json"),
    ]


def dead_letter_headers(
    original: Iterable[tuple[str, bytes | None]],
    rejected: Rejected,
    *,
    version: str,
    failed_at: str,
    topic: str,
    partition: int,
    offset: int,
    whole_bytes: int | None = None,
) -> list[tuple[str, bytes | None]]:
    """Return the raw message's own headers, unchanged, and after them why and where it was rejected.

    `failed_at` is a canonical time, `version` Gradewatch's own. `whole_bytes` is the length of the value
    where only its beginning is kept. The six last are named and written, as text, as Kafka Streams does, so
    that tools made for its dead letters read these too.
    """
    reason, detail = rejected.reason.encode(), rejected.detail.encode()
    truncated = [] if whole_bytes is None else [(TRUNCATED, b"%d" % whole_bytes)]
    return [
        *original,
        (REASON, reason),
        (DETAIL, detail),
        (VERSION, version.encode()),
        (FAILED_AT, failed_at.encode()),
        *truncated,
        (EXCEPTION, REJECTED_EXCEPTION),
        (MESSAGE, reason + b": " + detail),
        (STACKTRACE, b""),
        (TOPIC, topic.encode()),
        (PARTITION, b"%d" % partition),
        (OFFSET, b"%d" % offset),
    ]


def original_headers(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """Return a dead letter's headers as they were on the raw message, for a replay.

    Ours begin at the last reason: what has one of our names before it was on the raw message already.
    """
    begin = max((index for index, (name, _) in enumerate(headers) if name == REASON), default=len(headers))
    return [*headers[:begin], *(h for h in headers[begin:] if h[0] not in DEAD_LETTER_HEADERS)]


class Failure(NamedTuple):
    """Why a message is a dead letter, and where it came from, as its headers tell."""

    reason: str
    detail: str
    version: str
    """Of the Gradewatch that could not read it."""
    failed_at: str
    topic: str
    """Where the message lay; empty where the headers don't say."""
    partition: int | None
    offset: int | None
    whole_bytes: int | None
    """The length of the whole value, where anything was cut."""


def failure_of(headers: Sequence[tuple[str, bytes | None]]) -> Failure | None:
    """Return what a dead letter's headers say; None when the message has no reason, so is no dead letter."""
    begin = max((index for index, (name, _) in enumerate(headers) if name == REASON), default=None)
    if begin is None:
        return None
    ours = {name: (content or b"").decode(errors="replace") for name, content in headers[begin:]}

    def number(name: str) -> int | None:
        text = ours.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS_OF_A_LONG else None

    return Failure(
        reason=ours[REASON],
        detail=ours.get(DETAIL, ""),
        version=ours.get(VERSION, ""),
        failed_at=ours.get(FAILED_AT, ""),
        topic=ours.get(TOPIC, ""),
        partition=number(PARTITION),
        offset=number(OFFSET),
        whole_bytes=number(TRUNCATED),
    )


class Fitting(NamedTuple):
    """As much of a message as a dead letter has room for."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    whole_bytes: int | None
    """The length of the whole value, where anything was cut."""


def fit(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Fitting:
    """Return a message, cut where it would be too large with the headers that a dead letter adds.

    The value is cut first. Where key and headers alone are too large nothing is left of the value, the
    message's own headers are left out, and the key is cut if it must be: no message may stop a partition.
    `RECORD_OVERHEAD_BYTES` stay free.
    """
    room = max_message_bytes - RECORD_OVERHEAD_BYTES
    taken = sum(len(name.encode()) + len(content or b"") + 10 for name, content in headers)
    left = room - taken - len(key or b"")
    if left >= len(value or b""):
        return Fitting(key, value, headers, None)
    whole_bytes = len(value or b"")
    if left >= 0:
        return Fitting(key, value and value[:left], headers, whole_bytes)
    return Fitting(key and key[:room], value and b"", (), whole_bytes)
