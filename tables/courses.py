"""Step 6: count the students of a course whose scores dropped, and tell when many did at once.

Windows are aligned: one begins at every multiple of its length since 1970. What is kept of a course is a
function of the *set* of its drops, as long as the rule stays the same: neither order nor repeats matter.
Once a window was told of it needs its students no more, which bounds what is kept.
"""

from operator import attrgetter

import msgspec

from models.alerts import alert_id
from models.drops import CourseDrop
from models.times import epoch_ms, time_from_epoch_ms
from tables.cases import AlertDraft
from tables.figures import duration_text
from tables.formats import Format
from tables.parameters import DROPS_KEPT_MS, CourseWideDrop

RULE = "course_wide_drop"

NEVER = -(1 << 53)
"""Stands for the time of a drop that has not been."""


class Window(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of one window."""

    begins_ms: int
    """Since 1970."""
    students: tuple[str, ...] = ()
    """Those who had a drop in it, each once and sorted; none any more once it was told of."""
    told: bool = False
    """Whether its alert was sent."""


class CourseDrops(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a course's drops."""

    newest_ms: int = NEVER
    """Time of the newest drop, which decides what is too old."""
    window_ms: int = 0
    """Length of the windows."""
    windows: tuple[Window, ...] = ()
    """Oldest first; only those in which there was a drop."""


NO_DROPS = CourseDrops()

VERSION = 1
"""Of the stored form."""

_format = Format("course's drops", CourseDrops, VERSION)
encode_course_drops = _format.encode
decode_course_drops = _format.decode

_FIRST_MS = epoch_ms("0001-01-01T00:00:00.000Z")
"""The earliest time that can be written: a window that would begin before it begins there."""


def drop_of(draft: AlertDraft) -> CourseDrop | None:
    """Return the drop to count in its course where the alert is a score drop that opened."""
    if draft.rule != "score_drop" or draft.status != "opened":
        return None
    return CourseDrop(
        alert_id=draft.alert_id,
        event_id=draft.event_id or "",
        event_time=draft.event_time,
        root_account_uuid=draft.root_account_uuid,
        course_id=draft.course_id or "",
        user_id=draft.user_id or "",
    )


def count_drop(
    drops: CourseDrops, drop: CourseDrop, p: CourseWideDrop
) -> tuple[CourseDrops, AlertDraft | None]:
    """Return the course's drops with one more, the same object when nothing changes, and the alert if any.

    A window is kept while any of it lies within 7 days before the newest drop; a drop of an older one counts
    no more. When the length of the windows is changed by hand, counting begins anew.
    """
    if not p.enabled:
        return drops, None
    if drops.window_ms != p.window:
        drops = CourseDrops(window_ms=p.window)
    at = drop.event_time_ms
    start = max(at // p.window * p.window, _FIRST_MS)
    newest_ms = max(at, drops.newest_ms)
    oldest_ms = newest_ms - DROPS_KEPT_MS
    if start + p.window <= oldest_ms:
        return drops, None
    window = next((kept for kept in drops.windows if kept.begins_ms == start), Window(start))
    counted, told = _with(window, drop.user_id, p.min_students)
    if counted is window and newest_ms == drops.newest_ms:
        return drops, None
    others = (kept for kept in drops.windows if kept is not window and kept.begins_ms + p.window > oldest_ms)
    windows = tuple(sorted((*others, counted), key=_begins_ms))
    return CourseDrops(newest_ms, p.window, windows), _draft(drop, start, p) if told else None


_begins_ms = attrgetter("begins_ms")


def _with(window: Window, user_id: str, min_students: int) -> tuple[Window, bool]:
    """Return the window with a student in it, and whether it is now to be told of."""
    if window.told:
        return window, False
    students = {*window.students, user_id}
    if len(students) >= min_students:
        return Window(window.begins_ms, told=True), True
    if user_id in window.students:
        return window, False
    return Window(window.begins_ms, tuple(sorted(students))), False


def _draft(drop: CourseDrop, start: int, p: CourseWideDrop) -> AlertDraft:
    """Return the alert about a window: the same whichever drop was the last that it took."""
    begins = time_from_epoch_ms(start)
    students = "a student" if p.min_students == 1 else f"{p.min_students} students or more"
    return AlertDraft(
        alert_id=alert_id(
            rule=RULE, status="opened", key=drop.key, course_id=drop.course_id, subject=begins, event_id=None
        ),
        rule=RULE,
        status="opened",
        severity="critical",
        audience="staff",
        root_account_uuid=drop.root_account_uuid,
        user_id=None,
        course_id=drop.course_id,
        assignment_id=None,
        submission_id=None,
        subject=begins,
        event_id=None,
        event_time=begins,
        value=p.min_students,
        previous=None,
        reference=p.min_students,
        message=f"The posted scores of {students} in the course fell far within {duration_text(p.window)}.",
    )
