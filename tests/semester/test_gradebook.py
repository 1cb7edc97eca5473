"""Course scores: the arithmetic of Canvas, whatever the order in which work is graded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.semester.gradebook import UNTOUCHED, CourseScores, Gradebook, Submission

WEIGHTS = (50.0, 30.0, 20.0)
ASSIGNMENTS = ((0, 10.0), (0, 20.0), (1, 15.0), (2, 100.0), (2, 5.0))
"""Group and possible points."""

quarters = st.integers(0, 480).map(lambda quarter: quarter / 4)
whole_work = st.builds(
    Submission,
    score=quarters,
    complete=st.just(True),
    posted=st.booleans(),
)
any_work = st.one_of(
    whole_work,
    st.just(UNTOUCHED),
    st.builds(Submission, score=quarters, complete=st.just(False), posted=st.booleans()),
    st.just(Submission(complete=True, posted=True, excused=True)),
)
grading = st.lists(st.tuples(st.integers(0, len(ASSIGNMENTS) - 1), any_work), max_size=20)


def book_with(work: list[tuple[int, Submission]], weights: tuple[float, ...] = WEIGHTS) -> Gradebook:
    book = Gradebook(1, weights)
    for index, (group, points) in enumerate(ASSIGNMENTS):
        book.publish(index, group, points)
    for index, submission in work:
        book.change(0, index, *ASSIGNMENTS[index], submission)
    return book


def by_definition(newest: dict[int, Submission], posted_only: bool, ungraded_is_zero: bool) -> float | None:
    """Compute a score as the documentation of Canvas says it, from the submissions themselves."""
    earned, possible = [0.0] * 3, [0.0] * 3
    for index, (group, points) in enumerate(ASSIGNMENTS):
        work = newest.get(index, UNTOUCHED)
        if work.excused:
            continue
        score = None if posted_only and not work.posted else work.score
        if not ungraded_is_zero and (score is None or not work.complete):
            continue
        earned[group] += score or 0.0
        possible[group] += points
    groups = [group for group in range(3) if possible[group] > 0]
    if not groups:
        return 0.0 if ungraded_is_zero else None
    weight = sum(WEIGHTS[group] for group in groups)
    return 100 * sum(WEIGHTS[group] * earned[group] / possible[group] for group in groups) / weight


@given(grading)
def test_scores_follow_from_the_newest_state_of_each_submission(work: list[tuple[int, Submission]]) -> None:
    newest = dict(work)
    expected = [
        by_definition(newest, posted_only=posted_only, ungraded_is_zero=ungraded_is_zero)
        for posted_only, ungraded_is_zero in ((True, False), (True, True), (False, False), (False, True))
    ]

    scores = book_with(work).scores(0)

    assert list(scores) == [pytest.approx(score, abs=0.006) for score in expected]


@given(grading, st.randoms(use_true_random=False))
def test_the_order_of_grading_leaves_no_trace(work: list[tuple[int, Submission]], random: object) -> None:
    newest = list(dict(work).items())
    shuffled = sorted(newest, key=lambda _: random.random())  # type: ignore[attr-defined]

    assert book_with(work).scores(0) == book_with(newest).scores(0) == book_with(shuffled).scores(0)


@given(st.dictionaries(st.integers(0, len(ASSIGNMENTS) - 1), whole_work))
def test_the_final_score_is_never_above_the_current_one(work: dict[int, Submission]) -> None:
    scores = book_with(list(work.items())).scores(0)

    assert scores.current is None or (scores.final or 0.0) <= scores.current
    assert scores.unposted_current is None or (scores.unposted_final or 0.0) <= scores.unposted_current


@given(grading, st.sampled_from([4.5, 12.0, 25.0]))
def test_points_edited_and_edited_back_change_nothing(
    work: list[tuple[int, Submission]], points: float
) -> None:
    book = book_with(work)
    before = book.scores(0)

    book.rescale(0, 0, points, 10.0)
    book.rescale(0, 0, 10.0, points)

    assert book.scores(0) == before


def test_hidden_work_counts_only_in_the_unposted_scores() -> None:
    scores = book_with([(0, Submission(9.0, complete=True, posted=False))]).scores(0)

    assert scores == CourseScores(None, 0.0, 90.0, 15.0)


def test_nothing_graded_is_no_current_score_and_a_final_one_of_zero() -> None:
    assert book_with([]).scores(0) == CourseScores(None, 0.0, None, 0.0)


def test_a_course_without_any_points_has_a_final_score_of_zero() -> None:
    assert Gradebook(1, (100.0,)).scores(0) == CourseScores()


def test_extra_credit_may_lift_a_score_above_a_hundred() -> None:
    assert book_with([(0, Submission(11.0, complete=True, posted=True))]).scores(0).current == 110.0
