"""How what is kept stays in order and bounded. Pure functions of immutable parts."""

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
from typing import TypeVar

from tables.kept import (
    BEFORE_ALL_MS,
    NO_COURSE,
    OWN_PERIOD,
    CourseScores,
    Kept,
    Limits,
    Point,
)

AnyKept = TypeVar("AnyKept", bound=Kept)

_stamp_of = attrgetter("stamp")
_time_of = attrgetter("at")


def with_one(items: tuple[AnyKept, ...], item: AnyKept) -> tuple[AnyKept, ...]:
    """Return the items with one more in its place; the same object when it is there already."""
    if not items or items[-1].at < item.at or items[-1].stamp < item.stamp:
        return (*items, item)
    index = bisect_left(items, item.stamp, key=_stamp_of)
    if items[index].event_id == item.event_id:
        return items
    return (*items[:index], item, *items[index:])


def with_period(
    by_period: Mapping[str, AnyKept], period: str, item: AnyKept, most: int
) -> Mapping[str, AnyKept]:
    """Return what is kept by grading period with one that is newer, the same object if it is too old.

    Of the periods beside the course's own only the newest, `most` of them, are kept.
    """
    items = {**by_period, period: item}
    if len(items) - (OWN_PERIOD in items) > most:
        oldest = min(items.keys() - {OWN_PERIOD}, key=lambda each: items[each].stamp)
        if oldest == period:
            return by_period
        del items[oldest]
    return items


def within_windows(points: tuple[Point, ...], limits: Limits) -> tuple[Point, ...]:
    """Return the points, one at least, without the scores that are out of their window.

    Posted and unposted scores have a window each, so that what is hidden cannot push out what is posted.
    """
    newest = points[-1]
    if len(points) <= limits.points and points[0].at >= newest.at - limits.points_ms:
        return points
    # As a rule the newest point has both scores; then both windows reach back from it.
    if newest.current is not None and newest.unposted is not None:
        points = from_time(points, newest.at - limits.points_ms)
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


def from_time(items: tuple[AnyKept, ...], since_ms: int) -> tuple[AnyKept, ...]:
    """Return the items, which are in order, from a time on."""
    return items[bisect_left(items, since_ms, key=_time_of) :]


def drop_aged(courses: dict[str, CourseScores], since_ms: int) -> int:
    """Take from the courses what is older than `since_ms`, and those of which nothing is left then.

    Returns the time of the oldest thing left; there must be something.
    """
    times = []
    for course_id, course in tuple(courses.items()):
        left, oldest_ms = course, _oldest_ms(course)
        if oldest_ms < since_ms:
            left = _young_part(course, since_ms)
            if left == NO_COURSE:
                del courses[course_id]
                continue
            courses[course_id], oldest_ms = left, _oldest_ms(left)
        times.append(oldest_ms)
    return min(times)


def _oldest_ms(course: CourseScores) -> int:
    """Return the time of the oldest thing kept of a course."""
    # Whatever is kept of scores is newer than the deletion, and no point is newer than the newest scores.
    oldest: Kept | None = course.deletion or (course.points[0] if course.points else course.newest)
    times = [] if oldest is None else [oldest.at]
    if course.submissions:
        times.append(course.submissions[0].at)
    for table in (course.overrides, course.statuses):
        times += [kept.at for kept in table.values()]
    return min(times, default=BEFORE_ALL_MS)


def _young_part(course: CourseScores, since_ms: int) -> CourseScores:
    return CourseScores(
        _young(course.newest, since_ms),
        _young(course.deletion, since_ms),
        from_time(course.points, since_ms),
        from_time(course.submissions, since_ms),
        {period: kept for period, kept in course.overrides.items() if kept.at >= since_ms},
        {period: kept for period, kept in course.statuses.items() if kept.at >= since_ms},
    )


def _young(kept: AnyKept | None, since_ms: int) -> AnyKept | None:
    return None if kept is None or kept.at < since_ms else kept
