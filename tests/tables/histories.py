"""Records for the tests, one by one and as random histories of one student."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from models.records import (
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
    GradeRecordBase,
)
from models.times import time_from_epoch_ms
from tables.scores import DAY_MS, LIMITS, Limits

START_MS = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp()) * 1_000

R = TypeVar("R", bound=GradeRecordBase)


def time_at(day: float) -> str:
    return time_from_epoch_ms(START_MS + round(day * DAY_MS))


def record(record_type: type[R], day: float, **fields: Any) -> R:
    """Return a record of student 2 in course 1, `day` days after the start; a whole score becomes a float."""
    common = {"event_time": time_at(day), "root_account_uuid": "school", "user_id": "2", "course_id": "1"}
    unknown = dict.fromkeys(record_type.model_fields)
    given = {name: float(value) if type(value) is int else value for name, value in fields.items()}
    return record_type.from_checked(
        {**unknown, "type": record_type.model_fields["type"].default, **common, **given}
    )


def scored(day: float, current_score: float | None = None, **fields: Any) -> CourseGradeChange:
    return record(CourseGradeChange, day, current_score=current_score, **fields)


def deleted(day: float, **fields: Any) -> CourseGradeChange:
    return record(CourseGradeChange, day, workflow_state="deleted", **fields)


def graded(day: float, submission_id: str, score: float | None = None, **fields: Any) -> GradeChange:
    fields = {"points_possible": 10.0, "grading_complete": True, "muted": False, **fields}
    return record(GradeChange, day, submission_id=submission_id, score=score, **fields)


def overridden(day: float, override_score: float | None = None, **fields: Any) -> GradeOverride:
    return record(GradeOverride, day, override_score=override_score, **fields)


def marked(day: float, override_status: str | None = None, **fields: Any) -> FinalGradeCustomStatus:
    return record(FinalGradeCustomStatus, day, override_status=override_status, **fields)


limits = st.sampled_from(
    [
        LIMITS,
        # Limits that a short history goes beyond: counts, then times.
        Limits(points=3, points_ms=6 * DAY_MS, submissions=2, periods=1, age_ms=9 * DAY_MS),
        Limits(points=9, points_ms=2 * DAY_MS, submissions=3, periods=1, age_ms=5 * DAY_MS),
    ]
)

_score = st.sampled_from([None, 55.0, 65.0, 69.5, 78.0, 90.0, 104.0])
_points = st.sampled_from([None, 0.0, 10.0])
_period = st.sampled_from([None, None, "7", "8"])


@st.composite
def records(draw: st.DrawFn, day_step: float = 1.0) -> GradeRecord:
    """Draw any record of one student: few ids, few times, so that collisions are common."""
    day = day_step * draw(st.integers(0, 12))
    course_id = draw(st.sampled_from(["1", "1", "1", "2", "3"]))
    updated_at = draw(st.sampled_from([None, time_at(day - 0.001), time_at(day), time_at(day + 0.5)]))
    kind = draw(st.sampled_from("ccccdgggoosu"))
    if kind == "c":
        return scored(
            day,
            draw(_score),
            course_id=course_id,
            updated_at=updated_at,
            final_score=draw(_score),
            unposted_current_score=draw(_score),
            unposted_final_score=draw(_score),
        )
    if kind == "d":
        return deleted(day, course_id=course_id, updated_at=updated_at, current_score=draw(_score))
    if kind == "o":
        return overridden(
            day, draw(_score), course_id=course_id, updated_at=updated_at, grading_period_id=draw(_period)
        )
    if kind == "s":
        return marked(
            day,
            draw(st.sampled_from([None, "Incomplete", "Withdrawn"])),
            course_id=course_id,
            updated_at=updated_at,
            grading_period_id=draw(_period),
        )
    return graded(
        day,
        draw(st.sampled_from("5678")),
        draw(st.sampled_from([None, 0.0, 4.0, 7.0, 10.0, 12.0])),
        course_id=None if kind == "u" else course_id,
        points_possible=draw(_points),
        grading_complete=draw(st.sampled_from([True, True, False, None])),
        muted=draw(st.sampled_from([False, False, True, None])),
    )


_steps = st.sampled_from([1.0, 40.0, 0.04])
_least = st.sampled_from([0, 16])  # lists drawn from 0 on would be 5 long on average, too short to trim


@st.composite
def histories(draw: st.DrawFn) -> list[GradeRecord]:
    """Draw records of one student, over 12 days or over 480 or within one, in any order."""
    some = records(draw(_steps))
    return draw(st.lists(some, min_size=draw(_least), max_size=40, unique_by=lambda r: r.event_id))


def in_order(history: list[GradeRecord]) -> list[GradeRecord]:
    return sorted(history, key=order)


def order(record: GradeRecord) -> tuple[str, str, str]:
    """Return a record's place in the order of events, in the words of the documentation."""
    return (record.event_time, getattr(record, "updated_at", None) or "", record.event_id)
