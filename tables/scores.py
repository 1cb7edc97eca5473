"""Step 3: fold one grade record into what is known about a student.

The scores are a function of the *set* of a student's records: neither their order nor repeats matter. That
is why everything kept carries its stamp (when, how late, which event), why windows keep the newest by that
stamp, and why nothing here looks at a clock. Times are milliseconds since 1970.

A fold shares with its input all that did not change. As nearly every record is newer than all that is kept,
times are compared before whole stamps are.
"""

from typing import Literal, TypeAlias

from msgspec.structs import replace

from models.records import (
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
)
from models.times import epoch_ms
from tables.kept import (
    DAY_MS,
    EMPTY,
    LIMITS,
    NEVER_UPDATED,
    NO_COURSE,
    OWN_PERIOD,
    CourseEvent,
    CourseScores,
    CustomStatus,
    Deletion,
    Kept,
    Limits,
    Override,
    Point,
    Stamp,
    StudentScores,
    Submission,
)
from tables.windows import drop_aged, with_one, with_period, within_windows

__all__ = [
    "DAY_MS",
    "EMPTY",
    "LIMITS",
    "NEVER_UPDATED",
    "NO_COURSE",
    "OWN_PERIOD",
    "CourseEvent",
    "CourseScores",
    "CustomStatus",
    "Deletion",
    "Limits",
    "Override",
    "Point",
    "Standing",
    "StudentScores",
    "Submission",
    "find_submission",
    "fold",
    "is_newest",
    "place",
    "standing",
]

Standing: TypeAlias = Literal["newest", "late", "duplicate", "unplaced"]
"""What a record is to the scores it meets.

newest: it becomes the newest of its kind for its course, its submission, or its course and grading period.
late: something newer of its kind is kept, or its course was deleted after it, or it is too old to be kept.
duplicate: it is in the scores already. unplaced: it names no course, so it is not kept at all.
"""

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
    at, newest_ms = epoch_ms(record.event_time), scores.newest_ms
    if at < newest_ms - limits.age_ms:
        return scores, "late"
    before = scores.courses.get(course_id, NO_COURSE)
    course, what = _place_in_course(before, record, at, limits)
    if course is before:
        return scores, what
    courses = {**scores.courses, course_id: course}
    none_before_ms = scores.none_before_ms
    if at < none_before_ms:
        none_before_ms = at
    if at > newest_ms:
        newest_ms = at
        if none_before_ms < at - limits.age_ms:
            none_before_ms = drop_aged(courses, at - limits.age_ms)
    return StudentScores(newest_ms, courses, none_before_ms), what


def is_newest(course: CourseScores, record: GradeRecord) -> bool:
    """Return whether the record is the newest of its kind in what is kept of its course."""
    kept: Kept | None
    if record.type == "course_grade_change":
        kept = course.newest or course.deletion
    elif record.type == "grade_change":
        kept = find_submission(course, record.submission_id)
    elif record.type == "grade_override":
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


def _place_in_course(course: CourseScores, record: GradeRecord, at: int, limits: Limits) -> Placed:
    event_id = bytes.fromhex(record.event_id)
    # By the name of the type, which is quicker than asking for the class.
    if record.type == "grade_change":
        # It has no time of its own row.
        return _place_submission(course, record, (at, NEVER_UPDATED, event_id), limits)
    updated_at = record.updated_at
    lag = NEVER_UPDATED if updated_at is None else epoch_ms(updated_at) - at
    stamp = (at, lag, event_id)
    if record.type == "course_grade_change":
        if record.workflow_state == "deleted":
            return _place_deletion(course, stamp)
        return _place_course_event(course, record, stamp, limits)
    if record.type == "grade_override":
        return _place_override(course, record, stamp, limits)
    return _place_status(course, record, stamp, limits)


def _place_course_event(
    course: CourseScores, record: CourseGradeChange, stamp: Stamp, limits: Limits
) -> Placed:
    at, lag, event_id = stamp
    deletion, newest, points = course.deletion, course.newest, course.points
    if deletion is not None and at <= deletion.at and stamp < deletion.stamp:
        return course, "late"
    current, unposted = record.current_score, record.unposted_current_score
    what: Standing = "late"
    if newest is None or newest.at < at or newest.stamp < stamp:
        newest = CourseEvent(
            at, lag, event_id, current, record.final_score, unposted, record.unposted_final_score
        )
        what = "newest"
    elif newest.event_id == event_id:
        return course, "duplicate"
    if current is not None or unposted is not None:
        points = with_one(points, Point(at, lag, event_id, current, unposted))
        if points is course.points:
            return course, "duplicate"
        points = within_windows(points, limits)
        if what == "late" and points == course.points:  # out of both windows
            return course, "late"
    elif what == "late":  # and nothing known to add
        return course, "late"
    course = CourseScores(newest, deletion, points, course.submissions, course.overrides, course.statuses)
    return course, what


def _place_deletion(course: CourseScores, stamp: Stamp) -> Placed:
    what = _standing_to(course.deletion, stamp)
    if what != "newest":
        return course, what
    newest = course.newest
    if newest is not None and newest.stamp < stamp:
        newest = None
    course = CourseScores(
        newest,
        Deletion(*stamp),
        tuple([point for point in course.points if point.stamp > stamp]),
        tuple([submission for submission in course.submissions if submission.stamp > stamp]),
        course.overrides,
        course.statuses,
    )
    return course, "newest" if newest is None else "late"


def _place_submission(course: CourseScores, record: GradeChange, stamp: Stamp, limits: Limits) -> Placed:
    at, lag, event_id = stamp
    deletion, submissions = course.deletion, course.submissions
    if deletion is not None and at <= deletion.at and stamp < deletion.stamp:
        return course, "late"
    kept = find_submission(course, record.submission_id)
    if kept is not None:
        what = _standing_to(kept, stamp)
        if what != "newest":
            return course, what
        submissions = tuple([submission for submission in submissions if submission is not kept])
    elif len(submissions) >= limits.submissions:
        if stamp < submissions[0].stamp:
            return course, "late"
        submissions = submissions[1:]
    submission = Submission(
        at,
        lag,
        event_id,
        record.submission_id,
        record.score,
        record.points_possible,
        record.grading_complete is True,
        record.muted is not False,
    )
    submissions = with_one(submissions, submission)
    course = CourseScores(
        course.newest, deletion, course.points, submissions, course.overrides, course.statuses
    )
    return course, "newest"


def _place_override(course: CourseScores, record: GradeOverride, stamp: Stamp, limits: Limits) -> Placed:
    period = record.grading_period_id or OWN_PERIOD
    what = _standing_to(course.overrides.get(period), stamp)
    if what != "newest":
        return course, what
    overrides = with_period(course.overrides, period, Override(*stamp, record.override_score), limits.periods)
    if overrides is course.overrides:
        return course, "late"
    return replace(course, overrides=overrides), "newest"


def _place_status(
    course: CourseScores, record: FinalGradeCustomStatus, stamp: Stamp, limits: Limits
) -> Placed:
    period = record.grading_period_id or OWN_PERIOD
    what = _standing_to(course.statuses.get(period), stamp)
    if what != "newest":
        return course, what
    status = CustomStatus(*stamp, record.override_status)
    statuses = with_period(course.statuses, period, status, limits.periods)
    if statuses is course.statuses:
        return course, "late"
    return replace(course, statuses=statuses), "newest"


def _standing_to(kept: Kept | None, stamp: Stamp) -> Standing:
    """Return what an event is to the newest of its kind that is kept."""
    if kept is None or kept.at < stamp[0] or kept.stamp < stamp:
        return "newest"
    return "duplicate" if kept.stamp == stamp else "late"
