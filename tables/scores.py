"""Step 3: fold one grade record into what is known about a student.

The scores are a function of the *set* of a student's records: neither their order nor repeats matter. That
is why everything kept carries its stamp (when, how late, which event), why windows keep the newest by that
stamp, and why nothing here looks at a clock. Times are milliseconds since 1970.

Everything is immutable; a fold shares with its input all that did not change.
"""

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from models.records import (
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
)
from models.times import epoch_ms

DAY_MS = 86_400_000

Standing: TypeAlias = Literal["newest", "late", "duplicate", "unplaced"]
"""What a record is to the scores it meets.

newest: it becomes the newest of its kind for its course, its submission, or its course and grading period.
late: something newer of its kind is kept, or its course was deleted after it, or it is too old to be kept.
duplicate: it is in the scores already. unplaced: it names no course, so it is not kept at all.
"""

Stamp: TypeAlias = tuple[int, int, bytes]
"""Orders events as `(event_time, updated_at or "", event_id)` would: see `Kept`."""

NEVER_UPDATED = -(1 << 53)
"""The `lag` of an event without `updated_at`: below that of every pair of times."""

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


class StudentScores(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known about a student."""

    newest_ms: int = NEVER_UPDATED
    """Time of the newest event, which decides what is too old."""
    courses: Mapping[str, CourseScores] = {}
    """By course id."""


EMPTY = StudentScores()
NO_COURSE = CourseScores()

AnyKept = TypeVar("AnyKept", bound=Kept)
Placed: TypeAlias = tuple[CourseScores, Standing]


def fold(scores: StudentScores, record: GradeRecord, limits: Limits = LIMITS) -> StudentScores:
    """Return the scores with the record in them; the very same object when nothing changes."""
    return place(scores, record, limits)[0]


def standing(scores: StudentScores, record: GradeRecord, limits: Limits = LIMITS) -> Standing:
    """Return what the record is to the scores before it is folded into them."""
    return place(scores, record, limits)[1]


def place(
    scores: StudentScores, record: GradeRecord, limits: Limits = LIMITS
) -> tuple[StudentScores, Standing]:
    """Return `fold` and `standing` together, at the cost of one."""
    course_id = record.course_id
    if course_id is None:
        return scores, "unplaced"
    stamp = _stamp(record)
    at = stamp[0]
    if at < scores.newest_ms - limits.age_ms:
        return scores, "late"
    before = scores.courses.get(course_id, NO_COURSE)
    if isinstance(record, CourseGradeChange):
        if record.is_deleted:
            course, what = _place_deletion(before, stamp)
        else:
            course, what = _place_course_event(before, record, stamp, limits)
    elif isinstance(record, GradeChange):
        course, what = _place_submission(before, record, stamp, limits)
    elif isinstance(record, GradeOverride):
        course, what = _place_override(before, record, stamp, limits)
    else:
        course, what = _place_status(before, record, stamp, limits)
    if course is before:
        return scores, what
    courses = {**scores.courses, course_id: course}
    if at <= scores.newest_ms:
        return StudentScores(scores.newest_ms, courses), what
    return StudentScores(at, _without_aged(courses, at - limits.age_ms)), what


def is_newest(course: CourseScores, record: GradeRecord) -> bool:
    """Return whether the record is the newest of its kind in what is kept of its course."""
    kept: Kept | None
    if isinstance(record, CourseGradeChange):
        kept = course.newest or course.deletion
    elif isinstance(record, GradeChange):
        kept = find_submission(course, record.submission_id)
    elif isinstance(record, GradeOverride):
        kept = course.overrides.get(record.grading_period_id or OWN_PERIOD)
    else:
        kept = course.statuses.get(record.grading_period_id or OWN_PERIOD)
    return kept is not None and kept.event_id == bytes.fromhex(record.event_id)


def find_submission(course: CourseScores, submission_id: str) -> Submission | None:
    """Return the newest state of a submission, if it is kept."""
    # Newest first, because what was graded last is what is graded again soonest.
    for submission in reversed(course.submissions):
        if submission.submission_id == submission_id:
            return submission
    return None


def _stamp(record: GradeRecord) -> Stamp:
    at = record.event_time_ms
    # A grade_change has no time of its own row.
    updated_at = None if isinstance(record, GradeChange) else record.updated_at
    lag = NEVER_UPDATED if updated_at is None else epoch_ms(updated_at) - at
    return (at, lag, bytes.fromhex(record.event_id))


def _place_course_event(
    course: CourseScores, record: CourseGradeChange, stamp: Stamp, limits: Limits
) -> Placed:
    if course.deletion is not None and stamp < course.deletion.stamp:
        return course, "late"
    current, unposted = record.current_score, record.unposted_current_score
    newest = course.newest
    what: Standing = "late"
    if newest is None or newest.stamp < stamp:
        newest = CourseEvent(*stamp, current, record.final_score, unposted, record.unposted_final_score)
        what = "newest"
    elif newest.event_id == stamp[2]:
        return course, "duplicate"
    points = course.points
    if current is not None or unposted is not None:
        points = _with(points, Point(*stamp, current, unposted))
        if points is course.points:
            return course, "duplicate"
        points = _within_windows(points, limits)
        if points == course.points:  # late, and out of both windows
            return course, "late"
    if newest is course.newest and points is course.points:  # late, and nothing known to add
        return course, "late"
    return replace(course, newest=newest, points=points), what


def _place_deletion(course: CourseScores, stamp: Stamp) -> Placed:
    if course.deletion is not None and stamp <= course.deletion.stamp:
        return course, "duplicate" if stamp == course.deletion.stamp else "late"
    newest = course.newest
    if newest is not None and newest.stamp < stamp:
        newest = None
    course = replace(
        course,
        newest=newest,
        deletion=Deletion(*stamp),
        points=tuple(point for point in course.points if point.stamp > stamp),
        submissions=tuple(submission for submission in course.submissions if submission.stamp > stamp),
    )
    return course, "newest" if newest is None else "late"


def _place_submission(course: CourseScores, record: GradeChange, stamp: Stamp, limits: Limits) -> Placed:
    if course.deletion is not None and stamp < course.deletion.stamp:
        return course, "late"
    submissions = course.submissions
    kept = find_submission(course, record.submission_id)
    if kept is not None:
        if stamp <= kept.stamp:
            return course, "duplicate" if stamp == kept.stamp else "late"
        submissions = tuple([submission for submission in submissions if submission is not kept])
    elif len(submissions) >= limits.submissions:
        if stamp < submissions[0].stamp:
            return course, "late"
        submissions = submissions[1:]
    submission = Submission(
        *stamp,
        record.submission_id,
        record.score,
        record.points_possible,
        record.is_complete,
        record.is_muted,
    )
    return replace(course, submissions=_with(submissions, submission)), "newest"


def _place_override(course: CourseScores, record: GradeOverride, stamp: Stamp, limits: Limits) -> Placed:
    period = record.grading_period_id or OWN_PERIOD
    overrides, what = _with_period(course.overrides, period, Override(*stamp, record.override_score), limits)
    return (replace(course, overrides=overrides), what) if what == "newest" else (course, what)


def _place_status(
    course: CourseScores, record: FinalGradeCustomStatus, stamp: Stamp, limits: Limits
) -> Placed:
    period = record.grading_period_id or OWN_PERIOD
    status = CustomStatus(*stamp, record.override_status)
    statuses, what = _with_period(course.statuses, period, status, limits)
    return (replace(course, statuses=statuses), what) if what == "newest" else (course, what)


def _with_period(
    by_period: Mapping[str, AnyKept], period: str, item: AnyKept, limits: Limits
) -> tuple[Mapping[str, AnyKept], Standing]:
    """Return what is kept by grading period with one more, without the oldest where they are too many."""
    kept = by_period.get(period)
    if kept is not None and item.stamp <= kept.stamp:
        return by_period, "duplicate" if item.stamp == kept.stamp else "late"
    items = {**by_period, period: item}
    if len(items) - (OWN_PERIOD in items) > limits.periods:
        oldest = min(items.keys() - {OWN_PERIOD}, key=lambda each: items[each].stamp)
        if oldest == period:
            return by_period, "late"
        del items[oldest]
    return items, "newest"


_stamp_of = attrgetter("stamp")
_time_of = attrgetter("at")


def _with(items: tuple[AnyKept, ...], item: AnyKept) -> tuple[AnyKept, ...]:
    """Return the items with one more in its place; the same object when it is there already."""
    if not items or items[-1].stamp < item.stamp:
        return (*items, item)
    index = bisect_left(items, item.stamp, key=_stamp_of)
    if items[index].event_id == item.event_id:
        return items
    return (*items[:index], item, *items[index:])


def _within_windows(points: tuple[Point, ...], limits: Limits) -> tuple[Point, ...]:
    """Return the points without the scores that are out of their window.

    Posted and unposted scores have a window each, so that what is hidden cannot push out what is posted.
    """
    if len(points) <= limits.points and points[0].at >= points[-1].at - limits.points_ms:
        return points
    newest = points[-1]
    # As a rule the newest point has both scores; then both windows reach back from it.
    if newest.current is not None and newest.unposted is not None:
        points = points[bisect_left(points, newest.at - limits.points_ms, key=_time_of) :]
        if len(points) <= limits.points:
            return points
    posted = _start(points, [i for i, point in enumerate(points) if point.current is not None], limits)
    hidden = _start(points, [i for i, point in enumerate(points) if point.unposted is not None], limits)
    if posted < hidden:
        half = tuple(
            Point(*point.stamp, point.current, None)
            for point in points[posted:hidden]
            if point.current is not None
        )
    else:
        half = tuple(
            Point(*point.stamp, None, point.unposted)
            for point in points[hidden:posted]
            if point.unposted is not None
        )
    return half + points[max(posted, hidden) :]


def _start(points: tuple[Point, ...], known: list[int], limits: Limits) -> int:
    """Return where the window of a score begins, given the places of the points that know the score."""
    if not known:
        return len(points)
    oldest_ms = points[known[-1]].at - limits.points_ms
    return next(i for i in known[-limits.points :] if points[i].at >= oldest_ms)


def _without_aged(courses: dict[str, CourseScores], oldest_ms: int) -> dict[str, CourseScores]:
    """Return the courses without what is older than `oldest_ms`, and without those that have nothing left."""
    aged = [course_id for course_id, course in courses.items() if _is_aged(course, oldest_ms)]
    for course_id in aged:
        course = courses.pop(course_id)
        left = CourseScores(
            _young(course.newest, oldest_ms),
            _young(course.deletion, oldest_ms),
            tuple(point for point in course.points if point.at >= oldest_ms),
            tuple(submission for submission in course.submissions if submission.at >= oldest_ms),
            {period: kept for period, kept in course.overrides.items() if kept.at >= oldest_ms},
            {period: kept for period, kept in course.statuses.items() if kept.at >= oldest_ms},
        )
        if left != NO_COURSE:
            courses[course_id] = left
    return courses


def _young(kept: AnyKept | None, oldest_ms: int) -> AnyKept | None:
    return None if kept is None or kept.at < oldest_ms else kept


def _is_aged(course: CourseScores, oldest_ms: int) -> bool:
    """Return whether a course has something older than `oldest_ms`; asked of every course at every event."""
    # Whatever is kept of scores is newer than the deletion, and no point is newer than the newest scores.
    if course.deletion is not None:
        if course.deletion.at < oldest_ms:
            return True
    elif course.points:
        if course.points[0].at < oldest_ms:
            return True
    elif course.newest is not None and course.newest.at < oldest_ms:
        return True
    if course.submissions and course.submissions[0].at < oldest_ms:
        return True
    if not course.overrides and not course.statuses:
        return False
    return any(kept.at < oldest_ms for kept in (*course.overrides.values(), *course.statuses.values()))
