"""What is kept of a student, how much of it, and how long.

Everything is immutable and carries its stamp: when, how late, which event. Times are milliseconds since 1970.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

DAY_MS = 86_400_000

Stamp: TypeAlias = tuple[int, int, bytes]
"""Orders events as `(event_time, updated_at or "", event_id)` would: see `Kept`."""

NEVER_UPDATED = -(1 << 53)
"""The `lag` of an event without `updated_at`: below that of every pair of times."""

BEFORE_ALL_MS = -(1 << 53)
"""A time before all that can be written."""

OWN_PERIOD = ""
"""Stands where a grading period's id would, for the course as a whole."""


class Limits(NamedTuple):
    """How much is kept of one student. All bounds are inclusive; every count is at least 1."""

    points: int = 64
    """Scores over time, per course, posted and unposted each for itself."""
    points_ms: int = 35 * DAY_MS
    """How far the oldest point may lie behind the newest of its kind."""
    submissions: int = 64
    """Submissions per course."""
    periods: int = 64
    """Grading periods per course with an override, and with a status, beside the course's own."""
    age_ms: int = 400 * DAY_MS
    """How far anything may lie behind the student's newest event."""


LIMITS = Limits()


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of an event: at least its place in the order of events."""

    at: int
    """Event time."""
    lag: int
    """`updated_at` minus the event time, which orders events of one time as `updated_at` does and takes
    fewer bytes; NEVER_UPDATED without one."""
    event_id: bytes
    """The event id's 16 bytes, ordered as its 32 hexadecimal digits are."""

    @property
    def stamp(self) -> Stamp:
        """The event's place in the order of events."""
        return (self.at, self.lag, self.event_id)


class Deletion(Kept, frozen=True, array_like=True, gc=False):
    """A course's score row was deleted."""


class CourseEvent(Kept, frozen=True, array_like=True, gc=False):
    """Course scores as one event gave them, nulls included."""

    current: float | None
    final: float | None
    unposted_current: float | None
    unposted_final: float | None


class Point(Kept, frozen=True, array_like=True, gc=False):
    """Scores at one time: null where unknown, or where the score is out of its window."""

    current: float | None
    unposted: float | None


class Submission(Kept, frozen=True, array_like=True, gc=False):
    """The newest state of a submission."""

    submission_id: str
    score: float | None
    points_possible: float | None
    complete: bool
    muted: bool


class Override(Kept, frozen=True, array_like=True, gc=False):
    """The newest override for a grading period; a null score means it was taken back."""

    score: float | None


class CustomStatus(Kept, frozen=True, array_like=True, gc=False):
    """The newest custom status for a grading period; a null name means it was taken off."""

    name: str | None


class CourseScores(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known about a student in one course."""

    newest: CourseEvent | None = None
    """The newest active event, if it is newer than the newest deletion."""
    deletion: Deletion | None = None
    """The newest deletion, also when a later event opened the course again."""
    points: tuple[Point, ...] = ()
    """Oldest first: the window of posted and the window of unposted current scores, in one list."""
    submissions: tuple[Submission, ...] = ()
    """Oldest first."""
    overrides: Mapping[str, Override] = {}
    """By grading period."""
    statuses: Mapping[str, CustomStatus] = {}
    """By grading period."""

    @property
    def is_closed(self) -> bool:
        """Whether the score row is deleted, as far as is known."""
        return self.deletion is not None and self.newest is None

    @property
    def current(self) -> float | None:
        """The posted current score."""
        return None if self.newest is None else self.newest.current

    @property
    def unposted_current(self) -> float | None:
        """The current score with unposted grades."""
        return None if self.newest is None else self.newest.unposted_current

    @property
    def final(self) -> float | None:
        """The posted final score, as computed."""
        return None if self.newest is None else self.newest.final

    @property
    def override(self) -> float | None:
        """The override of the course's own final score."""
        kept = self.overrides.get(OWN_PERIOD)
        return None if kept is None else kept.score

    @property
    def status(self) -> str | None:
        """The name of the custom status of the course's own final score."""
        kept = self.statuses.get(OWN_PERIOD)
        return None if kept is None else kept.name


class StudentScores(msgspec.Struct, frozen=True, array_like=True, gc=False, eq=False):
    """What is known about a student."""

    newest_ms: int = BEFORE_ALL_MS
    """Time of the newest event, which decides what is too old."""
    courses: Mapping[str, CourseScores] = {}
    """By course id."""
    none_before_ms: int = BEFORE_ALL_MS
    """Nothing that is kept is older. It spares the look for what is too old, depends on the way here, and
    so is neither stored nor a part of what makes scores equal."""

    def __eq__(self, other: object) -> bool:
        """Return whether the same is known."""
        return (
            isinstance(other, StudentScores)
            and self.newest_ms == other.newest_ms
            and self.courses == other.courses
        )

    def __ne__(self, other: object) -> bool:
        return not self == other  # the structure's own would go by identity


EMPTY = StudentScores()
NO_COURSE = CourseScores()
