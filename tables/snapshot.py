"""Step 5: what a student may see of their standing in one course, from what is kept.

Only posted values are read here: nothing of `unposted_*`, and nothing of a muted submission.
"""

from bisect import bisect_left
from itertools import islice
from operator import attrgetter

from models.snapshots import AssignmentScores, GradingPeriodScores, ScoreWindow, StudentScoresSnapshot
from models.times import time_from_epoch_ms
from tables.figures import finite, is_graded, mean, recent_percents, slope
from tables.rules import STAFF_ONLY
from tables.scores import DAY_MS, OWN_PERIOD, CourseScores, Point
from tables.state import StudentState

_RECENT_SUBMISSIONS = 5
"""How many of the newest graded submissions the mean percent is taken over."""


def snapshot(
    state: StudentState, root_account_uuid: str, user_id: str, course_id: str, window_ms: int
) -> StudentScoresSnapshot | None:
    """Return the snapshot of one of a student's courses, over the posted scores of the last `window_ms`.

    None while the course is closed or nothing of it is kept that a student may know of: then there is no
    snapshot, and one that was sent before is to be taken back.
    """
    course = state.scores.courses.get(course_id)
    if course is None or course.is_closed:
        return None
    updated_ms = _updated_ms(course)
    if updated_ms is None:
        return None
    final, override = course.final, course.override
    return StudentScoresSnapshot(
        root_account_uuid=root_account_uuid,
        user_id=user_id,
        course_id=course_id,
        updated_at=time_from_epoch_ms(updated_ms),
        current_score=course.current,
        final_score=final,
        override_score=override,
        effective_final_score=final if override is None else override,
        custom_status=course.status,
        grading_periods=_grading_periods(course),
        window=_window(course.points, window_ms),
        assignments=_assignments(course),
        alerts_open=sorted(state.holds.courses.get(course_id, {}).keys() - STAFF_ONLY),
    )


def _updated_ms(course: CourseScores) -> int | None:
    """Return the time of the newest event that a student may know of."""
    times = [kept.at for table in (course.overrides, course.statuses) for kept in table.values()]
    times.extend(islice((posted.at for posted in reversed(course.submissions) if not posted.muted), 1))
    if course.newest is not None:
        times.append(course.newest.at)
    return max(times, default=None)


def _grading_periods(course: CourseScores) -> dict[str, GradingPeriodScores]:
    periods = {}
    for period in sorted((course.overrides.keys() | course.statuses.keys()) - {OWN_PERIOD}):
        override, status = course.overrides.get(period), course.statuses.get(period)
        score = None if override is None else override.score
        name = None if status is None else status.name
        if score is not None or name is not None:
            periods[period] = GradingPeriodScores(override_score=score, custom_status=name)
    return periods


def _window(points: tuple[Point, ...], window_ms: int) -> ScoreWindow:
    days = window_ms / DAY_MS
    newest = next((point for point in reversed(points) if point.current is not None), None)
    if newest is None:
        return ScoreWindow(
            days=days,
            points=0,
            first=None,
            last=None,
            min=None,
            max=None,
            mean=None,
            change=None,
            slope_per_day=None,
        )
    start = bisect_left(points, newest.at - window_ms, key=attrgetter("at"))
    posted = [point for point in points[start:] if point.current is not None]
    scores = [point.current for point in posted if point.current is not None]
    first_ms = posted[0].at
    return ScoreWindow(
        days=days,
        points=len(scores),
        first=scores[0],
        last=scores[-1],
        min=min(scores),
        max=max(scores),
        mean=mean(scores),
        change=finite(scores[-1] - scores[0]),
        slope_per_day=slope([(point.at - first_ms) / DAY_MS for point in posted], scores),
    )


def _assignments(course: CourseScores) -> AssignmentScores:
    percents = list(recent_percents(course.submissions, _RECENT_SUBMISSIONS).values())
    return AssignmentScores(
        graded=sum(map(is_graded, course.submissions)),
        mean_percent=mean(percents),
        last_percent=percents[0] if percents else None,
    )
