"""Messages that no reader can accept: every reason for a rejection, in several ways each."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

import orjson

from app.semester.envelope import Fields, RawEvent, time_text
from app.semester.people import School, global_id
from models.grades import DEFAULT_LIMITS, Reason

_NOBODY: Final = 9_999_999
"""Local id of a student and a course that the school doesn't have: should an event of the future be taken for
good where there is no clock to compare with, it does no harm to anybody's scores."""

_LARGEST_SHARE: Final = 0.02
"""Share of `too_large` among the poison: each of these is a megabyte."""

Spoil = Callable[[Any, Random], bytes | None]
"""Makes poison from an event that is sound."""


def _written(change: Callable[[Any], object]) -> Spoil:
    """Make poison by changing the event before it is written."""

    def spoil(event: Any, _: Random) -> bytes:
        change(event)
        return orjson.dumps(event)

    return spoil


def _replaced(value: bytes | None) -> Spoil:
    """Make poison that has nothing of the event."""
    return lambda _event, _rng: value


def _bytes(change: Callable[[bytes, Random], bytes]) -> Spoil:
    """Make poison by changing the event's bytes."""
    return lambda event, rng: change(orjson.dumps(event), rng)


_TOO_LARGE: Final = b'{"metadata":"' + b"x" * DEFAULT_LIMITS.max_value_bytes + b'"}'
_DEEP: Final = 2000

SPOILS: Final[Mapping[Reason, tuple[Spoil, ...]]] = MappingProxyType(
    {
        Reason.EMPTY: (_replaced(b""), _replaced(None)),
        Reason.TOO_LARGE: (_replaced(_TOO_LARGE),),
        Reason.NOT_UTF8: (
            _bytes(lambda value, _: value.replace(b"Homework", b"Homew\xf6rk")),
            _bytes(lambda _, rng: bytes([0xFF, *(b | 0x80 for b in rng.randbytes(200))])),
        ),
        Reason.INVALID_JSON: (
            _bytes(lambda value, rng: value[: -1 - rng.randrange(len(value) // 2)]),
            _bytes(lambda value, _: value.replace(b'"score":8.5', b'"score":NaN')),
            _bytes(lambda value, _: value.replace(b'"score":8.5', b'"score":1e999')),
            _bytes(lambda value, _: b"\xef\xbb\xbf" + value),
            _replaced(b'{"metadata":' + b"[" * _DEEP + b"]" * _DEEP + b"}"),
            _replaced(b"grade_change,2107,8.5"),
        ),
        Reason.NOT_AN_OBJECT: (
            _bytes(lambda value, _: b"[" + value + b"]"),
            _replaced(b"null"),
            _replaced(b'"heartbeat"'),
            _replaced(b"42"),
        ),
        Reason.MISSING_METADATA: (
            _written(lambda event: event.pop("metadata")),
            _written(lambda event: event.update(metadata=None)),
        ),
        Reason.MISSING_EVENT_NAME: (
            _written(lambda event: event["metadata"].pop("event_name")),
            _written(lambda event: event["metadata"].update(event_name=None)),
        ),
        Reason.INVALID_METADATA: (
            _written(lambda event: event.update(metadata=[])),
            _written(lambda event: event["metadata"].update(event_name=7)),
            _written(lambda event: event["metadata"].pop("root_account_uuid")),
            _written(lambda event: event["metadata"].pop("event_time")),
            _written(lambda event: event["metadata"].update(event_time="2025-10-01 yesterday")),
            _written(lambda event: event["metadata"].update(event_time="2025-10-01T10:00:00")),
        ),
        Reason.FUTURE_EVENT: (
            _written(lambda event: event["metadata"].update(event_time="2099-01-01T00:00:00.000Z")),
        ),
        Reason.INVALID_BODY: (
            _written(lambda event: event.pop("body")),
            _written(lambda event: event.update(body="8.5 of 10")),
            _written(lambda event: event["body"].pop("submission_id")),
            _written(lambda event: [event["body"].pop(field) for field in ("user_id", "student_id")]),
            _written(lambda event: event["body"].update(user_id="2107000000000000000001")),
            _written(lambda event: event["body"].update(user_id=2.5)),
            _written(lambda event: event["body"].update(score=True)),
            _written(lambda event: event["body"].update(score="eight")),
            _written(lambda event: event["body"].update(grading_complete="yes")),
        ),
    }
)
"""By the reason for which it must be rejected, all ways to spoil an event. None brings a newline."""


class Poisoner:
    """Makes poison for a school: first one of every reason, then at random."""

    def __init__(self, school: School, rng: Random) -> None:
        self._rng = rng
        self._school = school
        self._next = list(SPOILS)
        rng.shuffle(self._next)
        self._usual = [reason for reason in SPOILS if reason is not Reason.TOO_LARGE]

    def make(self, time_ms: int) -> RawEvent:
        """Make one message that lies in the stream at a time."""
        if self._next:
            reason = self._next.pop()
        elif self._rng.random() < _LARGEST_SHARE:
            reason = Reason.TOO_LARGE
        else:
            reason = self._rng.choice(self._usual)
        value = self._rng.choice(SPOILS[reason])(self.sound_event(time_ms), self._rng)
        return RawEvent(value, time_ms, None, "poison", reason.value)

    def sound_event(self, time_ms: int) -> dict[str, Fields]:
        """Give what is going to be spoilt."""
        nobody = global_id(_NOBODY)
        return {
            "metadata": {
                "root_account_uuid": self._school.root_account_uuid,
                "root_account_id": self._school.root_account_id,
                "context_type": "Course",
                "context_id": nobody,
                "producer": "canvas",
                "event_name": "grade_change",
                "event_time": time_text(time_ms),
            },
            "body": {
                "submission_id": nobody,
                "assignment_id": nobody,
                "assignment_name": "Homework",
                "grade": "8.5",
                "score": 8.5,
                "points_possible": 10.0,
                "student_id": nobody,
                "user_id": nobody,
                "grading_complete": True,
                "muted": False,
            },
        }
