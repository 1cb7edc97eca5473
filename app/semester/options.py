"""What is asked of a synthetic semester, and how large a school answers it."""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS

DEFAULT_UNTIL: Final = datetime(2025, 12, 20, tzinfo=UTC)
DEFAULT_STUDENTS: Final = 200
COURSES_PER_STUDENT: Final = 4.5
CLASS_SIZE: Final = 75
ASSIGNMENTS_PER_WEEK: Final = 1.4
USUAL_LEAST_ASSIGNMENTS: Final = 10
FEWEST_ASSIGNMENTS: Final = 6
SMALLEST_SCHOOL: Final = 12
EVENTS_PER_SUBMISSION: Final = 2.6
"""Measured over seeds: grade events that one assignment brings per enrolled student, all causes together."""
MARGIN: Final = 1.12
"""A school for N events is built for so many times N, and some more, so that the N-th event comes before the
semester's last."""
_SOME_MORE: Final = 30


_EARLIEST_MS: Final = round(datetime(1900, 1, 1, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Options:
    """A semester to simulate; equal options give equal bytes.

    Shares are of all events that come out, from 0 to 1. `students` and `courses` follow from `events` (or
    from the defaults) where they are None. ValueError when a value is out of its range.
    """

    seed: int = 1
    until: datetime = DEFAULT_UNTIL
    """The semester's end, exclusive; needs a time zone."""
    weeks: int = 16
    students: int | None = None
    courses: int | None = None
    events: int | None = None
    """Stop after so many events; the school is sized so that the whole semester has about so many."""
    other_share: float = 0.2
    """Share, among the real events, of those that are about no grade; a school's firehose has about 0.9."""
    duplicates: float = 0.0
    """Share of the events that repeat an earlier one byte by byte."""
    disorder_seconds: float = 0.0
    """How much later than in order an event may come; 1200 is what HTTPS retries bring."""
    poison: float = 0.0
    """Share of messages that no reader can accept."""

    def __post_init__(self) -> None:
        if self.until.tzinfo is None:
            raise ValueError("until: needs a time zone")
        for name, low, high in (
            ("weeks", 1, 104),
            ("students", 1, 1_000_000),
            ("courses", 1, 100_000),
            ("events", 0, 10**12),
            ("other_share", 0.0, 0.99),
            ("duplicates", 0.0, 0.5),
            ("disorder_seconds", 0.0, DAY_MS / 1000),
            ("poison", 0.0, 0.5),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}: {value} is not between {low} and {high}")
        if self.duplicates + self.poison > 0.9:
            raise ValueError("duplicates and poison: together at most 0.9")
        if self.since_ms < _EARLIEST_MS:
            raise ValueError("until: the semester would begin before 1900")

    @property
    def until_ms(self) -> int:
        """The semester's end in epoch milliseconds, exclusive."""
        return round(self.until.timestamp() * 1000)

    @property
    def since_ms(self) -> int:
        """The semester's first millisecond since the epoch."""
        return self.until_ms - self.weeks * WEEK_MS

    @property
    def real_share(self) -> float:
        """Share of the events that are neither repeats nor poison."""
        return 1.0 - self.duplicates - self.poison


@dataclass(frozen=True, slots=True)
class Size:
    """The school that the options ask for."""

    students: int
    courses: int
    assignments: int
    """Per course."""


def size_of(options: Options) -> Size:
    """Size a school, so that its semester has about `options.events` events where that is given.

    The number of students gives way first; where it is fixed, or the school would get too small to be one,
    the number of assignments does.
    """
    usual_assignments = max(USUAL_LEAST_ASSIGNMENTS, round(ASSIGNMENTS_PER_WEEK * options.weeks))
    if options.events is None:
        students, assignments = options.students or DEFAULT_STUDENTS, usual_assignments
        return Size(students, _courses(options, students), assignments)

    grade_events = options.events * MARGIN * options.real_share * (1.0 - options.other_share)
    submissions = grade_events / EVENTS_PER_SUBMISSION + _SOME_MORE
    students = options.students or max(
        SMALLEST_SCHOOL, math.ceil(submissions / (COURSES_PER_STUDENT * usual_assignments))
    )
    courses = _courses(options, students)
    enrollments = students * min(courses, COURSES_PER_STUDENT)
    assignments = max(FEWEST_ASSIGNMENTS, math.ceil(submissions / enrollments))
    if options.students is None:
        assignments = min(assignments, usual_assignments)
    return Size(students, courses, assignments)


def _courses(options: Options, students: int) -> int:
    return options.courses or max(5, round(students * COURSES_PER_STUDENT / CLASS_SIZE))


def chance(seed: int, *names: object) -> random.Random:
    """Give the random stream of one part of the simulation: the same for the same seed and names, always.

    Parts that draw from streams of their own don't change each other when one of them draws once more.
    """
    return random.Random(":".join(map(str, (seed, *names))))  # noqa: S311 - must repeat, guards nothing
