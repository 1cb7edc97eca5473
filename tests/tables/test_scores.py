"""What is kept of a student, by example."""

from functools import reduce

import pytest

from models.records import GradeRecord, MisnamedGradeOverride
from tables.scores import DAY_MS, EMPTY, CourseScores, StudentScores, find_submission, fold, standing
from tests.tables.histories import START_MS, deleted, graded, marked, overridden, record, scored, time_at


def scores_after(*history: GradeRecord) -> StudentScores:
    return reduce(fold, history, EMPTY)


def course_after(*history: GradeRecord) -> CourseScores:
    return scores_after(*history).courses["1"]


def currents(course: CourseScores) -> list[float | None]:
    return [point.current for point in course.points]


def test_the_newest_event_wins_whole_nulls_included() -> None:
    course = course_after(scored(0, 90.0, final_score=80.0), scored(1, unposted_final_score=70.0))
    assert (course.current, course.final, course.unposted_current) == (None, None, None)
    assert course.newest is not None
    assert course.newest.unposted_final == 70.0
    assert currents(course) == [90.0]


def test_of_one_time_the_greater_updated_at_is_newer_and_none_is_below_all() -> None:
    never = scored(0, 1.0)
    long_before = scored(0, 2.0, updated_at="0001-01-01T00:00:00.000Z")
    after = scored(0, 3.0, updated_at=time_at(1))
    assert course_after(after, long_before, never).current == 3.0
    assert course_after(never, long_before).current == 2.0
    assert currents(course_after(after, long_before, never)) == [1.0, 2.0, 3.0]


def test_of_one_time_and_updated_at_the_greater_event_id_is_newer() -> None:
    one, other = sorted((scored(0, 1.0), scored(0, 2.0)), key=lambda event: event.event_id)
    assert course_after(one, other) == course_after(other, one)
    assert course_after(one, other).current == other.current_score


def test_a_late_score_is_a_point_but_not_the_newest() -> None:
    scores = scores_after(scored(1, 80.0))
    late = scored(0, 90.0)
    assert standing(scores, late) == "late"
    course = fold(scores, late).courses["1"]
    assert (course.current, currents(course)) == (80.0, [90.0, 80.0])


def test_a_late_event_without_scores_changes_nothing() -> None:
    scores = scores_after(scored(1, 80.0))
    assert fold(scores, scored(0, final_score=20.0)) is scores
    assert standing(scores, scored(0, final_score=20.0)) == "late"


def test_points_reach_back_35_days_from_the_newest_with_the_bound() -> None:
    day_0, too_old = scored(0, 70.0), scored(-0.001, 60.0)
    course = course_after(too_old, day_0, scored(35, 80.0))
    assert currents(course) == [70.0, 80.0]
    assert currents(course_after(scored(35, 80.0), too_old, day_0)) == [70.0, 80.0]


def test_the_newest_64_points_are_kept() -> None:
    course = course_after(*(scored(hour / 24, float(hour)) for hour in range(70)))
    assert currents(course) == [float(hour) for hour in range(6, 70)]


def test_hidden_points_have_a_window_of_their_own() -> None:
    course = course_after(
        scored(0, 70.0, unposted_current_score=71.0), scored(40, unposted_current_score=60.0)
    )
    assert [(point.current, point.unposted) for point in course.points] == [(70.0, None), (None, 60.0)]


def test_a_submission_is_kept_in_its_newest_state() -> None:
    course = course_after(graded(1, "5", 4.0), graded(2, "5", 8.0, muted=None), graded(0, "5", 6.0))
    (submission,) = course.submissions
    assert (submission.score, submission.muted, submission.complete) == (8.0, True, True)
    assert find_submission(course, "5") is submission
    assert find_submission(course, "6") is None


def test_the_newest_64_submissions_are_kept() -> None:
    course = course_after(*(graded(day, str(day), 5.0) for day in range(70)))
    assert [submission.submission_id for submission in course.submissions] == [
        str(day) for day in range(6, 70)
    ]
    scores = StudentScores(START_MS, {"1": course})
    assert fold(scores, graded(5, "999", 5.0)) is scores


def test_overrides_and_statuses_are_kept_by_grading_period() -> None:
    course = course_after(
        overridden(0, 80.0),
        overridden(1, 70.0, grading_period_id="7"),
        overridden(2, grading_period_id="7"),
        marked(0, "Incomplete", grading_period_id="8"),
        record(MisnamedGradeOverride, 3, override_score=60.0, grading_period_id="9"),
    )
    assert {period: kept.score for period, kept in course.overrides.items()} == {
        "": 80.0,
        "7": None,
        "9": 60.0,
    }
    assert {period: kept.name for period, kept in course.statuses.items()} == {"8": "Incomplete"}
    assert (course.override, course.status) == (80.0, None)


def test_the_section_with_the_newest_override_wins() -> None:
    one, other = overridden(0, 80.0, enrollment_id="31"), overridden(1, 81.0, enrollment_id="32")
    assert course_after(other, one).override == 81.0


def test_a_deletion_drops_what_is_not_newer_but_not_what_was_set_by_hand() -> None:
    course = course_after(
        scored(0, 90.0),
        graded(0, "5", 8.0),
        graded(2, "6", 9.0),
        overridden(0, 80.0),
        marked(0, "Incomplete"),
        deleted(1),
    )
    assert course.is_closed
    assert (course.newest, course.points) == (None, ())
    assert [submission.submission_id for submission in course.submissions] == ["6"]
    assert (course.override, course.status) == (80.0, "Incomplete")


@pytest.mark.parametrize("late", [scored(0, 90.0), graded(0, "5", 9.0), deleted(0)])
def test_what_arrives_after_a_newer_deletion_is_not_kept(late: GradeRecord) -> None:
    scores = scores_after(deleted(1))
    assert fold(scores, late) is scores
    assert standing(scores, late) == "late"


def test_a_newer_active_event_opens_a_deleted_course_whenever_it_arrives() -> None:
    opened = course_after(scored(0, 90.0), deleted(1), scored(2, 50.0))
    assert not opened.is_closed
    assert opened == course_after(scored(2, 50.0), deleted(1), scored(0, 90.0))
    assert currents(opened) == [50.0]


def test_only_the_word_deleted_deletes() -> None:
    assert not course_after(scored(0, 90.0, workflow_state="completed")).is_closed


def test_what_is_older_than_400_days_goes_in_every_part() -> None:
    old: list[GradeRecord] = [
        scored(0, 90.0),
        graded(0, "5", 9.0),
        overridden(0, 80.0, grading_period_id="7"),
        marked(0, "Incomplete"),
        deleted(0, course_id="2"),
    ]
    kept = scores_after(*old, scored(400, 70.0, course_id="3"))
    assert kept.courses.keys() == {"1", "2", "3"}
    gone = scores_after(*old, scored(400.001, 70.0, course_id="3"))
    assert gone.courses.keys() == {"3"}
    assert gone == scores_after(scored(400.001, 70.0, course_id="3"), *old)
    assert standing(gone, old[0]) == "late"


def test_a_course_keeps_what_is_young_enough() -> None:
    course = course_after(scored(0, 90.0), overridden(1, 80.0), scored(400.5, 70.0, course_id="2"))
    assert (course.newest, course.points, course.override) == (None, (), 80.0)


def test_a_submission_without_a_course_is_not_kept_at_all() -> None:
    scores = scores_after(scored(0, 90.0))
    unplaced = graded(900, "5", 8.0, course_id=None)
    assert fold(scores, unplaced) is scores
    assert standing(scores, unplaced) == "unplaced"


@pytest.mark.parametrize(
    "event", [scored(1, 90.0), deleted(1), graded(1, "5", 8.0), overridden(1), marked(1)]
)
def test_an_event_is_new_once(event: GradeRecord) -> None:
    assert standing(EMPTY, event) == "newest"
    assert standing(fold(EMPTY, event), event) == "duplicate"


def test_a_point_that_is_kept_is_known_again() -> None:
    scores = scores_after(scored(0, 90.0), scored(1, 80.0))
    assert standing(scores, scored(0, 90.0)) == "duplicate"


def test_a_fold_shares_what_did_not_change() -> None:
    before = scores_after(scored(0, 90.0), scored(0, 80.0, course_id="2"))
    after = fold(before, scored(1, 85.0))
    assert after.courses["2"] is before.courses["2"]
    assert before == scores_after(scored(0, 90.0), scored(0, 80.0, course_id="2"))
    assert after.newest_ms == START_MS + DAY_MS


def test_scores_are_equal_by_what_is_kept_alone() -> None:
    in_order = scores_after(scored(0, 90.0), scored(900, 80.0))
    newest_only = scores_after(scored(900, 80.0))
    assert in_order.none_before_ms == newest_only.none_before_ms == START_MS + 900 * DAY_MS
    known_less = StudentScores(in_order.newest_ms, in_order.courses)
    for same in (newest_only, known_less):
        assert (in_order == same, in_order != same) == (True, False)
    for other in (EMPTY, StudentScores(in_order.newest_ms), "scores"):
        assert (in_order == other, in_order != other) == (False, True)


def test_what_is_too_old_is_found_in_scores_that_were_stored() -> None:
    stored = StudentScores(START_MS, scores_after(scored(0, 90.0, course_id="2")).courses)
    assert fold(stored, scored(401, 80.0)).courses.keys() == {"1"}
