"""Snapshots: posted values of one course, complete, and exactly as documented."""

import math
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.records import GradeRecord
from models.snapshots import (
    AssignmentScores,
    GradingPeriodScores,
    ScoreWindow,
    StudentScoresSnapshot,
    decode_snapshot,
    encode_snapshot,
)
from tables.cases import Holds
from tables.scores import DAY_MS, EMPTY, Limits, fold
from tables.snapshot import encoded_snapshot, snapshot
from tables.state import StudentState
from tests.tables.histories import (
    deleted,
    graded,
    histories,
    in_order,
    limits,
    marked,
    overridden,
    scored,
    time_at,
)


def shown(*history: GradeRecord, holds: Holds | None = None, days: int = 7) -> StudentScoresSnapshot | None:
    scores = EMPTY
    for record in history:
        scores = fold(scores, record)
    return snapshot(StudentState(scores, holds or Holds()), "school", "2", "1", days * DAY_MS)


def shown_of(*history: GradeRecord, holds: Holds | None = None, days: int = 7) -> StudentScoresSnapshot:
    found = shown(*history, holds=holds, days=days)
    assert found is not None
    return found


NO_WINDOW = ScoreWindow(
    days=7.0,
    points=0,
    first=None,
    last=None,
    min=None,
    max=None,
    mean=None,
    change=None,
    slope_per_day=None,
)
NO_ASSIGNMENTS = AssignmentScores(graded=0, mean_percent=None, last_percent=None)


def test_a_snapshot_has_every_posted_value() -> None:
    assert shown_of(
        scored(0, 90.0, final_score=50.0, unposted_current_score=10.0),
        scored(2, 84.0, final_score=60.0, unposted_current_score=10.0, unposted_final_score=9.0),
        graded(3, "5", 9.0),
        graded(4, "6", 7.0),
        graded(5, "7", 1.0, muted=True),
        overridden(2.5, 75.0),
        overridden(2.5, 70.0, grading_period_id="8"),
        marked(2.6, "Incomplete"),
        holds=Holds({"1": {"threshold_crossed": ("70",), "score_drop": ("warning",)}}),
    ) == StudentScoresSnapshot(
        root_account_uuid="school",
        user_id="2",
        course_id="1",
        updated_at=time_at(4),
        current_score=84.0,
        final_score=60.0,
        override_score=75.0,
        effective_final_score=75.0,
        custom_status="Incomplete",
        grading_periods={"8": GradingPeriodScores(override_score=70.0, custom_status=None)},
        window=ScoreWindow(
            days=7.0,
            points=2,
            first=90.0,
            last=84.0,
            min=84.0,
            max=90.0,
            mean=87.0,
            change=-6.0,
            slope_per_day=-3.0,
        ),
        assignments=AssignmentScores(graded=2, mean_percent=80.0, last_percent=70.0),
        alerts_open=["score_drop", "threshold_crossed"],
    )


def test_a_course_that_is_not_known_has_no_snapshot() -> None:
    assert shown(scored(0, 90.0, course_id="9")) is None


def test_a_closed_course_has_no_snapshot_until_it_is_opened_again() -> None:
    assert shown(scored(0, 90.0), overridden(0, 80.0), deleted(1)) is None
    assert shown_of(scored(0, 90.0), overridden(0, 80.0), deleted(1), scored(2)).override_score == 80.0


def test_muted_submissions_alone_show_nothing() -> None:
    assert shown(graded(0, "5", 9.0, muted=True)) is None
    assert shown(graded(0, "5", 9.0, muted=None)) is None


@pytest.mark.parametrize(
    "record",
    [
        scored(0, unposted_current_score=50.0),
        graded(0, "5", grading_complete=False),
        overridden(0, grading_period_id="8"),
        marked(0, grading_period_id="8"),
    ],
    ids=["scores", "submission", "override", "status"],
)
def test_one_event_that_a_student_may_know_of_is_enough(record: GradeRecord) -> None:
    assert shown_of(record) == StudentScoresSnapshot(
        root_account_uuid="school",
        user_id="2",
        course_id="1",
        updated_at=time_at(0),
        current_score=None,
        final_score=None,
        override_score=None,
        effective_final_score=None,
        custom_status=None,
        grading_periods={},
        window=NO_WINDOW,
        assignments=NO_ASSIGNMENTS,
        alerts_open=[],
    )


def test_it_is_as_new_as_the_newest_event_that_shows() -> None:
    history: list[GradeRecord] = [scored(0, 90.0), overridden(1), marked(2, grading_period_id="8")]
    assert shown_of(*history).updated_at == time_at(2)
    history.append(graded(3, "5", 9.0))
    assert shown_of(*history).updated_at == time_at(3)
    history.append(graded(4, "6", 9.0, muted=True))
    assert shown_of(*history).updated_at == time_at(3)


def test_the_final_score_is_the_computed_one_without_an_override() -> None:
    assert shown_of(scored(0, 90.0, final_score=60.0)).effective_final_score == 60.0
    removed = shown_of(scored(0, 90.0, final_score=60.0), overridden(1, 0.0), overridden(2))
    assert (removed.override_score, removed.effective_final_score) == (None, 60.0)
    assert shown_of(scored(0, 90.0, final_score=60.0), overridden(1, 0.0)).effective_final_score == 0.0


def test_grading_periods_are_sorted_and_those_with_nothing_are_left_out() -> None:
    periods = shown_of(
        overridden(0, 70.0, grading_period_id="9"),
        overridden(1, grading_period_id="9"),
        marked(0, "Incomplete", grading_period_id="8"),
        overridden(0, 60.0, grading_period_id="8"),
        marked(0, "Incomplete", grading_period_id="7"),
        marked(0, grading_period_id="6"),
    ).grading_periods
    assert list(periods.items()) == [
        ("7", GradingPeriodScores(override_score=None, custom_status="Incomplete")),
        ("8", GradingPeriodScores(override_score=60.0, custom_status="Incomplete")),
    ]


def test_the_window_reaches_back_from_the_newest_posted_point_with_its_bound() -> None:
    window = shown_of(
        scored(-0.001, 10.0),
        scored(0, 70.0),
        scored(3, 64.0),
        scored(7, 91.0),
        scored(30, unposted_current_score=50.0),
    ).window
    assert (window.points, window.first, window.last, window.min, window.max) == (3, 70.0, 91.0, 64.0, 91.0)
    assert window.change == 21.0
    assert window.mean == math.fsum([70.0, 64.0, 91.0]) / 3
    assert window.slope_per_day == pytest.approx(237 / 74)


def test_another_window_is_as_long_as_it_is_told() -> None:
    window = shown_of(scored(0, 70.0), scored(1.25, 64.0), scored(3, 91.0), days=2).window
    assert (window.days, window.points, window.first) == (2.0, 2, 64.0)


def test_one_point_has_no_slope() -> None:
    window = shown_of(scored(0, 70.0)).window
    assert (window.points, window.change, window.slope_per_day) == (1, 0.0, None)


def test_points_of_one_time_have_no_slope() -> None:
    updated_at = time_at(0)
    window = shown_of(scored(0, 70.0), scored(0, 80.0, updated_at=updated_at)).window
    assert (window.first, window.last, window.slope_per_day) == (70.0, 80.0, None)


def test_a_mean_is_exactly_rounded() -> None:
    assert shown_of(*(scored(day / 10, 0.1) for day in range(10))).window.mean == 0.1


def test_assignments_are_the_graded_and_posted_ones() -> None:
    assignments = shown_of(
        graded(0, "1", 1.0),
        graded(1, "2", 2.0),
        graded(2, "3", 5.0, points_possible=0.0),
        graded(3, "4", 5.0, points_possible=None),
        graded(4, "5", 3.0),
        graded(5, "6", 4.0),
        graded(6, "7", 5.0),
        graded(7, "8", 6.0, points_possible=5.0),
        graded(8, "9", 6.0, grading_complete=None),
        graded(9, "10", 6.0, muted=True),
        graded(10, "11"),
    ).assignments
    assert assignments == AssignmentScores(graded=8, mean_percent=52.0, last_percent=120.0)


def test_rules_that_look_at_hidden_values_do_not_show() -> None:
    holds = Holds({"1": {"hidden_score_drop": ("warning",)}, "9": {"score_drop": ("warning",)}})
    assert shown_of(scored(0, 90.0), holds=holds).alerts_open == []


def test_figures_beyond_a_floats_range_are_unknown() -> None:
    window = shown_of(scored(0, -1.7e308), scored(1, 1.7e308), scored(2, 1.7e308)).window
    assert (window.points, window.mean, window.change, window.slope_per_day) == (
        3,
        5.666666666666667e307,
        None,
        None,
    )
    assert shown_of(scored(0, 1.7e308), scored(1, 1.7e308)).window.mean is None
    huge = shown_of(graded(0, "5", 1e308, points_possible=1e-300), graded(1, "6", 5.0)).assignments
    assert huge == AssignmentScores(graded=2, mean_percent=50.0, last_percent=50.0)


_HOLDS = Holds(
    {"1": {"threshold_crossed": ("70",), "score_drop": ("warning",)}, "3": {"score_drop": ("critical",)}}
)


@given(histories(), limits, st.integers(1, 35))
def test_the_bytes_are_those_of_the_contract(history: list[GradeRecord], limits: Limits, days: int) -> None:
    scores = EMPTY
    for record in history:
        scores = fold(scores, record, limits)
    for course_id in ("1", "2", "3", "4"):
        given_to = (StudentState(scores, _HOLDS), "school", "2", course_id, days * DAY_MS)
        encoded, shown = encoded_snapshot(*given_to), snapshot(*given_to)
        assert encoded == (None if shown is None else encode_snapshot(shown))


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20))
def test_numbers_and_names_are_written_as_the_contract_writes_them(score: float, name: str) -> None:
    history: list[GradeRecord] = [
        scored(0, score, final_score=-score),
        graded(1, "5", score),
        marked(2, name),
    ]
    scores = reduce(fold, history, EMPTY)
    given_to = (StudentState(scores), "school", "2", "1", 7 * DAY_MS)
    shown = snapshot(*given_to)
    assert shown is not None
    assert encoded_snapshot(*given_to) == encode_snapshot(shown)
    assert (shown.current_score, shown.final_score, shown.custom_status) == (score, -score, name)


@settings(max_examples=50)
@given(histories())
def test_a_snapshot_survives_its_encoding(history: list[GradeRecord]) -> None:
    found = shown(*history)
    assert found is None or decode_snapshot(encode_snapshot(found)) == found


@settings(max_examples=50)
@given(histories())
def test_equal_scores_show_the_same_bytes(history: list[GradeRecord]) -> None:
    one, other = shown(*history), shown(*in_order(history))
    assert one == other
    assert one is None or other is None or encode_snapshot(one) == encode_snapshot(other)
