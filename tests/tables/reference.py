"""The scores of a student, straight from the whole set of records: slow, and simple enough to be believed."""

from collections.abc import Iterable
from typing import TypeVar

from models.records import (
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
)
from models.times import epoch_ms
from tables.scores import (
    EMPTY,
    NEVER_UPDATED,
    NO_COURSE,
    CourseEvent,
    CourseScores,
    CustomStatus,
    Deletion,
    Limits,
    Override,
    Point,
    StudentScores,
    Submission,
)
from tests.tables.histories import order


def scores_of(records: Iterable[GradeRecord], limits: Limits) -> StudentScores:
    known = [record for record in records if record.course_id is not None]
    if not known:
        return EMPTY
    newest_ms = max(record.event_time_ms for record in known)
    young = [record for record in known if record.event_time_ms >= newest_ms - limits.age_ms]
    courses = {}
    for course_id in {record.course_id for record in young}:
        course = _course([record for record in young if record.course_id == course_id], limits)
        if course_id is not None and course != NO_COURSE:
            courses[course_id] = course
    return StudentScores(newest_ms, courses)


def _course(records: list[GradeRecord], limits: Limits) -> CourseScores:
    records = sorted(records, key=order)
    score_rows = [record for record in records if isinstance(record, CourseGradeChange)]
    deletions = [row for row in score_rows if row.workflow_state == "deleted"]
    if deletions:
        records = [record for record in records if order(record) > order(deletions[-1])] + [
            record for record in records if isinstance(record, GradeOverride | FinalGradeCustomStatus)
        ]
    active = [row for row in records if isinstance(row, CourseGradeChange)]
    newest = active[-1] if active else None
    posted = _window([row for row in active if row.current_score is not None], limits)
    hidden = _window([row for row in active if row.unposted_current_score is not None], limits)
    states = {record.submission_id: record for record in records if isinstance(record, GradeChange)}
    return CourseScores(
        newest=None
        if newest is None
        else CourseEvent(
            *_stamp(newest),
            newest.current_score,
            newest.final_score,
            newest.unposted_current_score,
            newest.unposted_final_score,
        ),
        deletion=Deletion(*_stamp(deletions[-1])) if deletions else None,
        points=tuple(
            Point(
                *_stamp(row),
                row.current_score if row in posted else None,
                row.unposted_current_score if row in hidden else None,
            )
            for row in active
            if row in posted or row in hidden
        ),
        submissions=tuple(
            Submission(
                *_stamp(state),
                state.submission_id,
                state.score,
                state.points_possible,
                state.grading_complete is True,
                state.muted is not False,
            )
            for state in sorted(states.values(), key=order)[-limits.submissions :]
        ),
        overrides={
            record.grading_period_id or "": Override(*_stamp(record), record.override_score)
            for record in _of_periods(GradeOverride, records, limits)
        },
        statuses={
            record.grading_period_id or "": CustomStatus(*_stamp(record), record.override_status)
            for record in _of_periods(FinalGradeCustomStatus, records, limits)
        },
    )


PeriodRecord = TypeVar("PeriodRecord", GradeOverride, FinalGradeCustomStatus)


def _of_periods(
    kind: type[PeriodRecord], records: Iterable[GradeRecord], limits: Limits
) -> list[PeriodRecord]:
    """Return the newest of the course's own, and of each of the newest grading periods."""
    newest: dict[str, PeriodRecord] = {
        record.grading_period_id or "": record
        for record in sorted(records, key=order)
        if isinstance(record, kind)
    }
    own = [newest.pop("")] if "" in newest else []
    return own + sorted(newest.values(), key=order)[-limits.periods :]


def _window(rows: list[CourseGradeChange], limits: Limits) -> list[CourseGradeChange]:
    newest = rows[-limits.points :]
    return [row for row in newest if row.event_time_ms >= rows[-1].event_time_ms - limits.points_ms]


def _stamp(record: GradeRecord) -> tuple[int, int, bytes]:
    updated_at = getattr(record, "updated_at", None)
    lag = NEVER_UPDATED if updated_at is None else epoch_ms(updated_at) - record.event_time_ms
    return (record.event_time_ms, lag, bytes.fromhex(record.event_id))
