"""Every message that a synthetic semester leads to, made by the same functions as a worker's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.cli import version
from app.semester.envelope import RawEvent
from app.semester.options import Options
from app.semester.semester import Semester
from models.alerts import encode_alert
from models.canvas import GRADE_EVENTS
from models.drops import encode_course_drop
from models.grades import Ignored, Reason, Rejected, read
from models.headers import (
    alert_headers,
    course_drop_headers,
    dead_letter_headers,
    record_headers,
    snapshot_headers,
)
from models.records import RECORD_TYPES, GradeRecord, encode_record
from models.times import time_from_epoch_ms
from tables.courses import drop_of
from tables.rulebook import DEFAULT_RULEBOOK
from tables.rules import evaluate
from tables.scores import place
from tables.snapshot import encoded_snapshot
from tables.state import NO_STATE, StudentState

DEAD_LETTER: Final = "dead-letter"
ALERT: Final = "alert"
SNAPSHOT: Final = "student-scores"
COURSE_DROP: Final = "course-drop"


def canvas(name: str) -> str:
    """Return the kind of a raw event."""
    return f"canvas.{name}"


def record_of(record_type: str) -> str:
    """Return the kind of a grade record."""
    return f"grade-record.{record_type}"


KINDS: Final = (
    *map(canvas, GRADE_EVENTS),
    *map(record_of, RECORD_TYPES),
    ALERT,
    SNAPSHOT,
    COURSE_DROP,
    DEAD_LETTER,
)
"""Every kind of message, in the order in which an event passes through them."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lies in its topic."""

    kind: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]

    @property
    def payload(self) -> Any:
        """The value, decoded; JSONDecodeError on some dead letters."""
        return orjson.loads(self.value or b"")


def messages(events: Iterable[RawEvent]) -> Iterator[Message]:
    """Yield each event that is about grades and all that follows from it, with the built-in rules."""
    states: dict[bytes, StudentState] = {}
    for offset, event in enumerate(events):
        written_at = event.event_time_ms
        record = read(event.value, written_at)
        if isinstance(record, Ignored):
            continue
        if isinstance(record, Rejected):
            yield _dead_letter(event, record, offset)
            continue
        yield Message(canvas(event.name), None, event.value, {})
        yield Message(
            record_of(record.type),
            record.key,
            encode_record(record),
            _text(record_headers(record, written_at)),
        )
        before = states.get(record.key, NO_STATE)
        after, following = _judged(before, record, written_at)
        states[record.key] = after
        yield from following


def _judged(before: StudentState, record: GradeRecord, written_at: int) -> tuple[StudentState, list[Message]]:
    """Return the student's next state, and the alerts and snapshot that lead there."""
    following = []
    scores, standing = place(before.scores, record)
    rules = DEFAULT_RULEBOOK.for_course(record.root_account_uuid, record.course_id)
    holds, drafts = evaluate(before.holds, before.scores, scores, record, rules, standing=standing)
    for draft in drafts:
        alert = draft.alert(time_from_epoch_ms(written_at))
        headers = alert_headers(alert, DEFAULT_RULEBOOK.digest)
        following.append(Message(ALERT, alert.key, encode_alert(alert), _text(headers)))
        if (drop := drop_of(draft)) is not None:
            headers = course_drop_headers(drop, written_at)
            following.append(Message(COURSE_DROP, drop.key, encode_course_drop(drop), _text(headers)))
    after = StudentState(scores, holds)
    course = (record.root_account_uuid, record.user_id, record.course_id or "")
    window_ms = DEFAULT_RULEBOOK.default.score_drop.window
    value = encoded_snapshot(after, *course, window_ms)
    if value is not None and value != encoded_snapshot(before, *course, window_ms):
        key = ":".join(course).encode()
        headers = snapshot_headers(
            event_id=record.event_id,
            root_account_uuid=record.root_account_uuid,
            event_time=record.event_time,
            key=key,
        )
        following.append(Message(SNAPSHOT, key, value, _text(headers)))
    return after, following


def _dead_letter(event: RawEvent, rejected: Rejected, offset: int) -> Message:
    headers = dead_letter_headers(
        (),
        rejected,
        version=version(),
        failed_at=time_from_epoch_ms(event.event_time_ms),
        topic="raw-events",
        partition=0,
        offset=offset,
    )
    return Message(DEAD_LETTER, None, event.value, _text((name, value or b"") for name, value in headers))


def _text(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


def examples() -> dict[str, Message]:
    """Return the first message of each kind of a small school's semester."""
    found: dict[str, Message] = {}
    semester = Semester(Options(seed=1, students=12, other_share=0.0, poison=0.05))
    for message in messages(semester.events()):
        # Poison is bytes of any kind; what is an object shows best what a dead letter is.
        if message.kind == DEAD_LETTER and Reason.INVALID_BODY not in message.headers.values():
            continue
        found.setdefault(message.kind, message)
        if len(found) == len(KINDS):
            break
    return found
