"""The job in Python: what every peer reads, keeps and says. The peers' own code is only how it is run.

Written for speed (msgspec checks types and times while it decodes, the body only of events that count), and
apart from Gradewatch's own packages: the alerts it leads to are what Gradewatch's are compared with.
"""

from bisect import bisect_left, insort
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

WINDOW_MS: Final = 7 * 86_400_000
MIN_DROP: Final = 10.0
CRITICAL_DROP: Final = 20.0
REARM: Final = 5.0
#: Points kept of one student in one course, however busy the week.
MAX_POINTS: Final = 64

COURSE_GRADE_CHANGE: Final = "course_grade_change"

Id = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with an offset."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Metadata(msgspec.Struct):
    """What counts of an event's metadata."""

    event_name: str
    event_time: Time
    root_account_uuid: Annotated[str, msgspec.Meta(min_length=1)]


class Event(msgspec.Struct):
    """A Canvas event of any name; the body is not looked at yet."""

    metadata: Metadata
    body: msgspec.Raw


class Body(msgspec.Struct):
    """The body of a course_grade_change."""

    user_id: Id
    course_id: Id
    workflow_state: str | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    current_score: float | None = None
    old_current_score: float | None = None
    final_score: float | None = None
    old_final_score: float | None = None
    unposted_current_score: float | None = None
    old_unposted_current_score: float | None = None
    unposted_final_score: float | None = None
    old_unposted_final_score: float | None = None


class Grade(msgspec.Struct):
    """What goes through the topic that is keyed by student."""

    root_account_uuid: str
    user_id: str
    course_id: str
    #: Milliseconds since 1970.
    at: int
    score: float | None
    deleted: bool

    @property
    def student(self) -> str:
        """The key by which grades are distributed."""
        return f"{self.root_account_uuid}:{self.user_id}"


decode_event = msgspec.json.Decoder(Event).decode
decode_body = msgspec.json.Decoder(Body).decode
encode_grade = msgspec.json.Encoder().encode
decode_grade = msgspec.json.Decoder(Grade).decode


def read(value: bytes) -> Grade | None:
    """Return the course's new score; None for any other event, and for what is malformed."""
    try:
        event = decode_event(value)
        if event.metadata.event_name != COURSE_GRADE_CHANGE:
            return None
        body = decode_body(event.body)
    except msgspec.DecodeError:
        return None
    return Grade(
        event.metadata.root_account_uuid,
        body.user_id,
        body.course_id,
        (event.metadata.event_time - _EPOCH) // _MILLISECOND,
        body.current_score,
        body.workflow_state == "deleted",
    )


Level = Literal[0, 1, 2]
"""What is held: nothing, a warning, or a critical drop."""

Point = tuple[int, float]
"""Milliseconds since 1970, and the score then."""


class Scores(msgspec.Struct, array_like=True):
    """What is kept of one student in one course."""

    newest: int = -(1 << 62)
    previous: float | None = None
    held: Level = 0
    points: list[Point] = []


encode_scores = msgspec.msgpack.Encoder().encode
decode_scores = msgspec.msgpack.Decoder(Scores).decode


class Finding(msgspec.Struct):
    """What is worth an alert."""

    status: Literal["opened", "escalated", "resolved"]
    severity: Literal["info", "warning", "critical"]
    value: float
    previous: float | None
    reference: float | None


def judge(scores: Scores, at: int, score: float | None, deleted: bool) -> Finding | None:
    """Fold a score into what is kept, which changes; return what the rule score_drop says about it."""
    if at <= scores.newest:  # late or repeated: it corrects the window and is silent
        if score is not None and all(point[0] != at for point in scores.points):
            insort(scores.points, (at, score))
        return None
    scores.newest = at
    if deleted:
        scores.previous, scores.held, scores.points = None, 0, []
        return None
    previous, scores.previous = scores.previous, score
    if score is None:
        return None
    points = scores.points
    del points[: bisect_left(points, (at - WINDOW_MS, float("-inf")))]
    peak = max([point[1] for point in points], default=None)
    points.append((at, score))
    del points[:-MAX_POINTS]

    drop = None if peak is None else round(peak - score, 6)
    held = scores.held
    if drop is not None and drop >= CRITICAL_DROP:
        scores.held = 2
    elif drop is not None and drop >= MIN_DROP:
        scores.held = held or 1  # a critical drop that eases is critical until it is let go
    elif drop is None or drop <= MIN_DROP - REARM:
        scores.held = 0
    if scores.held == held:
        return None
    if scores.held == 0:
        return Finding("resolved", "info", score, previous, peak)
    severity: Literal["warning", "critical"] = "critical" if scores.held == 2 else "warning"
    return Finding("escalated" if held else "opened", severity, score, previous, peak)


def alert(grade: Grade, finding: Finding) -> dict[str, Any]:
    """Return the alert as it goes to the topic."""
    return {
        "rule": "score_drop",
        "status": finding.status,
        "severity": finding.severity,
        "root_account_uuid": grade.root_account_uuid,
        "user_id": grade.user_id,
        "course_id": grade.course_id,
        "event_time": time_text(grade.at),
        "value": finding.value,
        "previous": finding.previous,
        "reference": finding.reference,
    }


def time_text(at: int) -> str:
    """Return milliseconds since 1970 as `2026-11-22T10:15:30.123Z`."""
    return (_EPOCH + at * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
