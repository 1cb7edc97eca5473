"""The laws of the scores, on random histories: order and repeats do not matter, and state is bounded."""

from functools import reduce
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from models.records import GradeRecord
from tables.scores import EMPTY, Limits, StudentScores, fold, is_newest, place, standing
from tables.state import StudentState, decode_state, encode_state
from tests.tables.histories import histories, limits, order
from tests.tables.reference import scores_of


def scores_after(history: list[GradeRecord], limits: Limits) -> StudentScores:
    return reduce(lambda scores, record: fold(scores, record, limits), history, EMPTY)


@settings(max_examples=200)
@given(histories(), limits)
def test_the_fold_gives_what_the_whole_set_of_records_gives(
    history: list[GradeRecord], limits: Limits
) -> None:
    scores = EMPTY
    for count, record in enumerate(history, start=1):
        scores = fold(scores, record, limits)
        assert scores == scores_of(history[:count], limits)


@given(histories(), limits, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(history: list[GradeRecord], limits: Limits, random: Random) -> None:
    once = scores_after(history, limits)
    repeated = history + random.choices(history, k=len(history)) if history else []
    random.shuffle(repeated)
    again = scores_after(repeated, limits)
    assert again == once
    assert encode_state(StudentState(again)) == encode_state(StudentState(once))


@settings(max_examples=50)
@given(histories(), limits)
def test_what_is_folded_already_changes_nothing(history: list[GradeRecord], limits: Limits) -> None:
    scores = scores_after(history, limits)
    for record in history:
        assert fold(scores, record, limits) is scores
        assert standing(scores, record, limits) != "newest"


@settings(max_examples=50)
@given(histories(), limits)
def test_the_scores_survive_their_encoding(history: list[GradeRecord], limits: Limits) -> None:
    state = StudentState(scores_after(history, limits))
    assert decode_state(encode_state(state)) == state


@given(histories(), limits)
def test_a_standing_says_what_the_fold_did(history: list[GradeRecord], limits: Limits) -> None:
    scores = EMPTY
    for record in history:
        after, what = place(scores, record, limits)
        course_id = record.course_id
        assert standing(scores, record, limits) == what
        if course_id is None:
            assert what == "unplaced"
        elif what == "newest":
            assert is_newest(after.courses[course_id], record)
        else:
            assert course_id not in after.courses or not (
                after is not scores and is_newest(after.courses[course_id], record)
            )
            assert what == "late" or after is scores
        scores = after


@settings(max_examples=50)
@given(histories(), limits)
def test_only_a_record_newer_than_all_of_its_kind_is_newest(
    history: list[GradeRecord], limits: Limits
) -> None:
    scores = EMPTY
    seen: dict[tuple[object, ...], tuple[str, str, str]] = {}
    for record in history:
        scores, what = place(scores, record, limits)
        kind = (
            record.type,
            record.course_id,
            getattr(record, "submission_id", None),
            getattr(record, "grading_period_id", None),
        )
        if what == "newest":
            assert kind not in seen or seen[kind] < order(record)
        seen[kind] = max(order(record), seen.get(kind, ("", "", "")))


@settings(max_examples=50)
@given(histories(), limits)
def test_state_is_bounded(history: list[GradeRecord], limits: Limits) -> None:
    scores = scores_after(history, limits)
    for course in scores.courses.values():
        assert sum(point.current is not None for point in course.points) <= limits.points
        assert sum(point.unposted is not None for point in course.points) <= limits.points
        assert len(course.submissions) <= limits.submissions
        kept = [
            course.newest,
            course.deletion,
            *course.points,
            *course.submissions,
            *course.overrides.values(),
            *course.statuses.values(),
        ]
        assert any(kept)
        assert all(one.at >= scores.newest_ms - limits.age_ms for one in kept if one is not None)
        assert all(one.at >= scores.none_before_ms for one in kept if one is not None)
