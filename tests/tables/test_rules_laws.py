"""The laws of the rules, on random histories."""

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from models.records import CourseGradeChange, GradeChange, GradeRecord
from tables.parameters import DEFAULT_RULES, Rules
from tables.rules import RULES, AlertDraft, evaluate
from tables.scores import DAY_MS, LIMITS, Limits, fold, place, standing
from tables.snapshot import snapshot
from tables.state import NO_STATE, StudentState, decode_state, encode_state
from tests.tables.histories import histories, in_order, limits, scored

EVERY_RULE = Rules.model_validate({"hidden_score_drop": {"enabled": True}})
Step = tuple[GradeRecord, StudentState, StudentState, tuple[AlertDraft, ...]]


def steps_of(history: list[GradeRecord], limits: Limits = LIMITS, rules: Rules = EVERY_RULE) -> list[Step]:
    """Return each record with the state before it, the state after it, and its alerts."""
    state, steps = NO_STATE, []
    for record in history:
        before = state
        scores = fold(before.scores, record, limits)
        holds, alerts = evaluate(before.holds, before.scores, scores, record, rules)
        state = StudentState(scores, holds)
        steps.append((record, before, state, alerts))
    return steps


@given(histories(), limits)
def test_only_the_newest_of_its_kind_alerts(history: list[GradeRecord], limits: Limits) -> None:
    for record, before, _, alerts in steps_of(history, limits):
        assert not alerts or standing(before.scores, record, limits) == "newest"


@given(histories(), limits)
def test_a_standing_that_is_given_changes_no_judgement(history: list[GradeRecord], limits: Limits) -> None:
    for record, before, after, alerts in steps_of(history, limits):
        scores, what = place(before.scores, record, limits)
        again = evaluate(before.holds, before.scores, scores, record, EVERY_RULE, standing=what)
        assert again == (after.holds, alerts)


@settings(max_examples=50)
@given(histories(), limits)
def test_of_a_closed_course_only_the_courses_at_risk_are_told(
    history: list[GradeRecord], limits: Limits
) -> None:
    for record, _, after, alerts in steps_of(history, limits):
        course = after.scores.courses.get(record.course_id or "")
        if course is not None and course.is_closed:
            assert {alert.rule for alert in alerts} <= {"courses_at_risk"}
            assert record.course_id not in after.holds.courses


@given(histories(), limits)
def test_null_never_alerts(history: list[GradeRecord], limits: Limits) -> None:
    for record, _, _, alerts in steps_of(history, limits):
        if isinstance(record, CourseGradeChange) and record.current_score is None:
            told = {alert.rule for alert in alerts}
            assert not told & {"score_drop", "threshold_crossed"}
            assert "courses_at_risk" not in told or record.is_deleted
        if isinstance(record, GradeChange) and record.score is None:
            assert "submission_score_drop" not in {alert.rule for alert in alerts}


@given(histories(), limits)
def test_no_rule_sends_the_same_level_twice(history: list[GradeRecord], limits: Limits) -> None:
    levels = {"warning": 1, "critical": 2}
    held: dict[tuple[str | None, str], float] = {}
    for _, _, after, alerts in steps_of(history, limits):
        for alert in alerts:
            place = (alert.course_id, alert.rule)
            if alert.rule in ("submission_score_drop", "final_status_changed"):
                assert alert.status == "opened"
            elif alert.status == "resolved":
                assert place in held
                # A threshold that is let go leaves those above it.
                still = after.holds.courses.get(alert.course_id or "", {}).get(alert.rule)
                held.pop(place)
                if alert.rule == "threshold_crossed" and still:
                    held[place] = -float(still[-1])
            else:
                rank = -float(alert.subject) if alert.subject is not None else levels[alert.severity]
                assert (alert.status == "escalated") == (place in held)
                assert place not in held or rank > held[place]
                held[place] = rank
        held = {
            (course_id, rule): rank
            for (course_id, rule), rank in held.items()
            if rule in (after.holds.student if course_id is None else after.holds.courses.get(course_id, {}))
        }


@settings(max_examples=50)
@given(histories(), limits)
def test_alerts_do_not_depend_on_where_the_state_was_stored_and_read_again(
    history: list[GradeRecord], limits: Limits
) -> None:
    state = NO_STATE
    for record, _, expected, alerts in steps_of(history, limits):
        stored = decode_state(encode_state(state))
        scores = fold(stored.scores, record, limits)
        holds, found = evaluate(stored.holds, stored.scores, scores, record, EVERY_RULE)
        state = StudentState(scores, holds)
        assert (state, found) == (expected, alerts)


_hidden = st.sampled_from([None, 1.0, 50.0, 99.0])


@given(histories(), limits, st.data())
def test_hidden_values_show_in_nothing_that_a_student_may_see(
    history: list[GradeRecord], limits: Limits, data: st.DataObject
) -> None:
    # The ids stay, because they break ties in the order of events and may show.
    changed = []
    for record in history:
        hidden: dict[str, object] = {}
        if isinstance(record, CourseGradeChange):
            hidden = {
                "unposted_current_score": data.draw(_hidden),
                "unposted_final_score": data.draw(_hidden),
                "old_unposted_current_score": data.draw(_hidden),
            }
        elif isinstance(record, GradeChange) and record.is_muted:
            hidden = {
                "score": data.draw(_hidden),
                "points_possible": data.draw(_hidden),
                "grading_complete": data.draw(st.booleans()),
            }
        changed.append(record.model_copy(update=hidden))
    steps = zip(steps_of(history, limits), steps_of(changed, limits), strict=True)
    for (_, _, state, alerts), (_, _, other_state, other_alerts) in steps:
        for_student = [alert for alert in alerts if alert.audience == "student"]
        assert for_student == [alert for alert in other_alerts if alert.audience == "student"]
        for course_id in state.scores.courses:
            shown = snapshot(state, "school", "2", course_id, 7 * DAY_MS)
            assert shown == snapshot(other_state, "school", "2", course_id, 7 * DAY_MS)
        assert state.scores.courses.keys() == other_state.scores.courses.keys()


def rising_hours(count: int) -> st.SearchStrategy[list[int]]:
    gaps = st.lists(st.integers(1, 96), min_size=count, max_size=count)
    return gaps.map(lambda hours: list(accumulate(hours)))


_exact = st.integers(40 * 4, 100 * 4).map(lambda quarters: quarters / 4)  # so that differences are exact
_series = st.lists(_exact, min_size=1, max_size=40).flatmap(
    lambda scores: rising_hours(len(scores)).map(lambda hours: list(zip(hours, scores, strict=True)))
)


@given(_series)
def test_score_drop_is_what_its_definition_says(series: list[tuple[int, float]]) -> None:
    expected, level = [], 0
    for i, (hour, score) in enumerate(series):
        peaks = [earlier for at, earlier in series[:i] if hour - 7 * 24 <= at]
        drop = max(peaks) - score if peaks else None
        held = level
        if drop is None or drop <= 5:
            level = 0
        elif drop >= 10:
            level = max(level, 2 if drop >= 20 else 1)
        if level > held:
            expected.append((i, "escalated" if held else "opened", drop))
        elif level < held:
            expected.append((i, "resolved", drop))
    history: list[GradeRecord] = [scored(hour / 24, score) for hour, score in series]
    found = [
        (i, alert.status, None if alert.reference is None else alert.reference - series[i][1])
        for i, (_, _, _, alerts) in enumerate(steps_of(history))
        for alert in alerts
        if alert.rule == "score_drop"
    ]
    assert found == expected


@given(_series)
def test_threshold_crossed_is_what_its_definition_says(series: list[tuple[int, float]]) -> None:
    expected, held = [], set[float]()
    for i, (_, score) in enumerate(series):
        crossed = {t for t in (70.0, 60.0) if score < t} - held
        let_go = {t for t in held if score >= t + 1}
        if crossed:
            higher = any(t > min(crossed) for t in held)
            expected.append((i, "escalated" if higher else "opened", min(crossed)))
        if let_go:
            expected.append((i, "resolved", max(let_go)))
        held = (held | crossed) - let_go
    history: list[GradeRecord] = [scored(hour / 24, score) for hour, score in series]
    found = [
        (i, alert.status, alert.reference)
        for i, (_, _, _, alerts) in enumerate(steps_of(history))
        for alert in alerts
        if alert.rule == "threshold_crossed"
    ]
    assert found == expected


@settings(max_examples=50)
@given(histories(), limits)
def test_in_order_of_time_the_same_alerts_come_again(history: list[GradeRecord], limits: Limits) -> None:
    once = [alerts for _, _, _, alerts in steps_of(in_order(history), limits)]
    assert [alerts for _, _, _, alerts in steps_of(in_order(history), limits)] == once
    ids = [alert.alert_id for alerts in once for alert in alerts]
    assert len(set(ids)) == len(ids)


@settings(max_examples=50)
@given(histories(), limits)
def test_default_rules_tell_staff_only_of_submissions(history: list[GradeRecord], limits: Limits) -> None:
    for _, _, _, alerts in steps_of(history, limits, DEFAULT_RULES):
        assert all(alert.audience == "student" or alert.rule == "submission_score_drop" for alert in alerts)


@given(histories(), limits, st.sampled_from([rule.name for rule in RULES]))
def test_a_rule_that_is_off_is_silent_and_the_others_speak_as_before(
    history: list[GradeRecord], limits: Limits, off: str
) -> None:
    fewer = EVERY_RULE.model_copy(
        update={off: getattr(EVERY_RULE, off).model_copy(update={"enabled": False})}
    )
    aside = {off, *(rule.name for rule in RULES if rule.silent_while == off)}
    steps = zip(steps_of(history, limits), steps_of(history, limits, fewer), strict=True)
    for (_, _, _, alerts), (_, _, after, others) in steps:
        assert [a for a in alerts if a.rule not in aside] == [a for a in others if a.rule not in aside]
        assert off not in {alert.rule for alert in others}
        assert all(off not in held for held in (after.holds.student, *after.holds.courses.values()))


_other_rules = Rules.model_validate(
    {
        "score_drop": {"min_drop": 5, "critical_drop": 8, "window": "2d", "rearm": 1},
        "threshold_crossed": {"thresholds": [80, 70, 57.5], "rearm": 3},
        "low_assignment_average": {"last": 2, "min_count": 1, "below": 75},
        "override_divergence": {"min_gap": 5},
        "courses_at_risk": {"below": 80, "min_courses": 1},
    }
)


@given(histories(), st.data())
def test_rules_may_change_on_the_way(history: list[GradeRecord], data: st.DataObject) -> None:
    state = NO_STATE
    for record in history:
        before = state
        rules = data.draw(st.sampled_from([EVERY_RULE, _other_rules]))
        scores = fold(before.scores, record)
        holds, alerts = evaluate(before.holds, before.scores, scores, record, rules)
        state = StudentState(scores, holds)
        for alert in alerts:
            was, now = (
                state.holds.student
                if alert.course_id is None
                else state.holds.courses.get(alert.course_id, {})
                for state in (before, state)
            )
            if alert.status == "resolved":
                assert was[alert.rule] != now.get(alert.rule)
            if alert.status == "escalated":
                assert was[alert.rule] != now[alert.rule]
