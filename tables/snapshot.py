"""Step 5: what a student may see of their standing in one course, from what is kept.

Only posted values are read here: nothing of `unposted_*`, and nothing of a muted submission.

The bytes are written straight from what is kept, in the order of `StudentScoresSnapshot`, which says what
they must be: building it first would take three times as long.
"""

from typing import TypeAlias

import orjson

from models.snapshots import StudentScoresSnapshot, decode_snapshot
from models.times import time_from_epoch_ms
from tables.figures import finite, mean, percent, slope
from tables.rules import STAFF_ONLY
from tables.scores import DAY_MS, OWN_PERIOD, CourseScores, Point, Submission
from tables.state import StudentState

_RECENT_SUBMISSIONS = 5
"""How many of the newest graded submissions the mean percent is taken over."""

_Fields: TypeAlias = dict[str, object]


def snapshot(
    state: StudentState, root_account_uuid: str, user_id: str, course_id: str, window_ms: int
) -> StudentScoresSnapshot | None:
    """Return what `encoded_snapshot` says, for whoever wants to read it."""
    encoded = encoded_snapshot(state, root_account_uuid, user_id, course_id, window_ms)
    return None if encoded is None else decode_snapshot(encoded)


def encoded_snapshot(
    state: StudentState, root_account_uuid: str, user_id: str, course_id: str, window_ms: int
) -> bytes | None:
    """Return the snapshot of one of a student's courses, over the posted scores of the last `window_ms`.

    None while the course is closed or nothing of it is kept that a student may know of: then there is no
    snapshot, and one that was sent before is to be taken back.
    """
    course = state.scores.courses.get(course_id)
    if course is None or course.is_closed:
        return None
    assignments, posted_ms = _assignments(course.submissions)
    updated_ms = _updated_ms(course, posted_ms)
    if updated_ms is None:
        return None
    final, override = course.final, course.override
    held = state.holds.courses.get(course_id)
    return orjson.dumps(
        {
            "root_account_uuid": root_account_uuid,
            "user_id": user_id,
            "course_id": course_id,
            "updated_at": time_from_epoch_ms(updated_ms),
            "current_score": course.current,
            "final_score": final,
            "override_score": override,
            "effective_final_score": final if override is None else override,
            "custom_status": course.status,
            "grading_periods": _grading_periods(course),
            "window": _window(course.points, window_ms),
            "assignments": assignments,
            "alerts_open": sorted(held.keys() - STAFF_ONLY) if held else [],
        }
    )


def _updated_ms(course: CourseScores, posted_ms: int | None) -> int | None:
    """Return the time of the newest event that a student may know of, given that of submissions."""
    times = [] if posted_ms is None else [posted_ms]
    if course.newest is not None:
        times.append(course.newest.at)
    for table in (course.overrides, course.statuses):
        if table:
            times += [kept.at for kept in table.values()]
    return max(times, default=None)


def _grading_periods(course: CourseScores) -> dict[str, _Fields]:
    periods: dict[str, _Fields] = {}
    if not course.overrides and not course.statuses:
        return periods
    for period in sorted((course.overrides.keys() | course.statuses.keys()) - {OWN_PERIOD}):
        override, status = course.overrides.get(period), course.statuses.get(period)
        score = None if override is None else override.score
        name = None if status is None else status.name
        if score is not None or name is not None:
            periods[period] = {"override_score": score, "custom_status": name}
    return periods


def _window(points: tuple[Point, ...], window_ms: int) -> _Fields:
    scores: list[float] = []
    times: list[int] = []
    for point in reversed(points):
        score = point.current
        if score is not None:
            if times and point.at < times[0] - window_ms:
                break
            scores.append(score)
            times.append(point.at)
    days = window_ms / DAY_MS
    if not scores:
        return {"days": days, "points": 0, **_NO_FIGURES}
    scores.reverse()
    times.reverse()
    first, last, first_ms = scores[0], scores[-1], times[0]
    return {
        "days": days,
        "points": len(scores),
        "first": first,
        "last": last,
        "min": min(scores),
        "max": max(scores),
        "mean": mean(scores),
        "change": finite(last - first),
        "slope_per_day": slope([(at - first_ms) / DAY_MS for at in times], scores),
    }


_NO_FIGURES: _Fields = dict.fromkeys(("first", "last", "min", "max", "mean", "change", "slope_per_day"))


def _assignments(submissions: tuple[Submission, ...]) -> tuple[_Fields, int | None]:
    """Return the figures of those that are posted, and the time of the newest of them."""
    graded, posted_ms = 0, None
    percents: list[float] = []
    for submission in reversed(submissions):
        if submission.muted:
            continue
        if posted_ms is None:
            posted_ms = submission.at
        if not submission.complete or submission.score is None:
            continue
        graded += 1
        if len(percents) < _RECENT_SUBMISSIONS:
            known = percent(submission.score, submission.points_possible)
            if known is not None:
                percents.append(known)
    last = percents[0] if percents else None
    return {"graded": graded, "mean_percent": mean(percents), "last_percent": last}, posted_ms
