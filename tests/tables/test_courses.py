"""Course-wide drops: what a window is, when it is told of, and the laws of what is kept."""

import hashlib
import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drops import CourseDrop
from models.times import epoch_ms, time_from_epoch_ms
from tables.cases import AlertDraft
from tables.courses import (
    NO_DROPS,
    CourseDrops,
    Window,
    count_drop,
    decode_course_drops,
    drop_of,
    encode_course_drops,
)
from tables.parameters import DROPS_KEPT_MS, CourseWideDrop
from tests.tables.histories import START_MS, scored
from tests.tables.test_rules import alerts_of

HOUR_MS = 3_600_000


def rule(**parameters: object) -> CourseWideDrop:
    return CourseWideDrop.model_validate({"min_students": 3, **parameters})


def drop(minutes: float, student: int) -> CourseDrop:
    return CourseDrop(
        alert_id="a" * 32,
        event_id="e" * 32,
        event_time=time_from_epoch_ms(START_MS + round(minutes * 60_000)),
        root_account_uuid="school",
        course_id="1",
        user_id=str(student),
    )


def count(
    drops: list[CourseDrop], p: CourseWideDrop, state: CourseDrops = NO_DROPS
) -> tuple[CourseDrops, list[AlertDraft]]:
    alerts = []
    for one in drops:
        state, alert = count_drop(state, one, p)
        alerts += [alert] if alert is not None else []
    return state, alerts


def test_many_students_in_one_window_are_told_of_once() -> None:
    state, alerts = count([drop(60 + n, n) for n in range(9)], rule())
    (draft,) = alerts
    identity = b'["course_wide_drop","opened","school:1","1","2026-09-01T01:00:00.000Z",null]'
    alert = draft.alert("2026-09-01T02:00:00.000Z")
    assert alert.model_dump() == {
        "alert_id": hashlib.sha256(identity).hexdigest()[:32],
        "rule": "course_wide_drop",
        "status": "opened",
        "severity": "critical",
        "audience": "staff",
        "root_account_uuid": "school",
        "user_id": None,
        "course_id": "1",
        "assignment_id": None,
        "submission_id": None,
        "subject": "2026-09-01T01:00:00.000Z",
        "event_id": None,
        "event_time": "2026-09-01T01:00:00.000Z",
        "detected_at": "2026-09-01T02:00:00.000Z",
        "value": 3.0,
        "previous": None,
        "reference": 3.0,
        "message": "The posted scores of 3 students or more in the course fell far within 1 hour.",
    }
    assert alert.key == b"school:1"
    assert state.windows == (Window(START_MS + HOUR_MS, told=True),)


def test_a_student_counts_once_however_often_the_score_drops() -> None:
    state, alerts = count([drop(n, n % 2) for n in range(20)], rule())
    assert (state.windows, alerts) == ((Window(START_MS, ("0", "1")),), [])


def test_windows_begin_at_multiples_of_their_length() -> None:
    at = [59.99, 60, 119.99, 120]
    state, _ = count([drop(minutes, n) for n, minutes in enumerate(at)], rule())
    assert [(window.begins_ms - START_MS, window.students) for window in state.windows] == [
        (0, ("0",)),
        (HOUR_MS, ("1", "2")),
        (2 * HOUR_MS, ("3",)),
    ]
    state, _ = count([drop(0, 1)], rule(window="7d"))
    thursday = epoch_ms("2026-08-27T00:00:00.000Z")  # a Thursday, as the first day of 1970
    assert [window.begins_ms for window in state.windows] == [thursday]


def test_a_window_is_kept_for_7_days_behind_the_newest_drop() -> None:
    day = 24 * 60
    begun, _ = count([drop(0, 1), drop(0, 2)], rule())
    for minutes, kept in ((7 * day + 59.99, True), (7 * day + 60, False)):
        later, _ = count([drop(minutes, 9)], rule(), begun)
        assert (START_MS in [window.begins_ms for window in later.windows]) is kept
        _, alerts = count([drop(30, 3)], rule(), later)
        assert bool(alerts) is kept


def test_a_drop_older_than_that_changes_nothing() -> None:
    state, _ = count([drop(0, 1)], rule())
    assert count_drop(state, drop(-7 * 24 * 60 - 1, 2), rule()) == (state, None)


def test_a_rule_that_is_off_counts_nothing() -> None:
    assert count([drop(n, n) for n in range(9)], rule(enabled=False)) == (NO_DROPS, [])


def test_another_length_of_windows_counts_anew() -> None:
    begun, _ = count([drop(0, 1), drop(0, 2)], rule())
    state, alerts = count([drop(0, 3)], rule(window="2h"), begun)
    assert (state.window_ms, state.windows, alerts) == (2 * HOUR_MS, (Window(START_MS, ("3",)),), [])


def test_fewer_students_are_enough_as_soon_as_the_rule_says_so() -> None:
    begun, _ = count([drop(0, 1), drop(0, 2)], rule())
    _, alerts = count([drop(0, 2)], rule(min_students=2), begun)
    assert [alert.value for alert in alerts] == [2]


def test_one_student_can_be_enough() -> None:
    _, (alert,) = count([drop(0, 1), drop(0, 1)], rule(min_students=1, window="1d"))
    assert alert.message == "The posted scores of a student in the course fell far within 1 day."


def test_a_window_that_would_begin_before_the_first_year_begins_with_it() -> None:
    earliest = drop(0, 1).model_copy(update={"event_time": "0001-01-01T00:00:00.000Z"})
    _, (alert,) = count([earliest], rule(min_students=1, window="7d"))
    assert alert.subject == "0001-01-01T00:00:00.000Z"


def test_only_a_score_drop_that_opens_is_counted() -> None:
    sent = alerts_of([scored(0, 95.0), scored(1, 84.0), scored(2, 60.0), scored(3, 95.0), scored(4, 55.0)])
    score_drops = [draft for draft in sent if draft.rule == "score_drop"]
    assert [draft.status for draft in score_drops] == ["opened", "escalated", "resolved", "opened"]
    counted = [found for draft in sent if (found := drop_of(draft)) is not None]
    assert counted == [
        CourseDrop(
            alert_id=draft.alert_id,
            event_id=draft.event_id or "",
            event_time=draft.event_time,
            root_account_uuid="school",
            course_id="1",
            user_id="2",
        )
        for draft in score_drops
        if draft.status == "opened"
    ]


_drops = st.builds(drop, st.integers(0, 12).map(lambda step: step * 25), st.integers(0, 5))
_far = st.builds(drop, st.integers(0, 30).map(lambda half_days: half_days * 720.5), st.integers(0, 5))
_histories = st.lists(_drops | _far, max_size=40)
_rules = st.builds(
    lambda students, window: rule(min_students=students, window=window),
    st.integers(1, 4),
    st.sampled_from(["30m", "1h", "1d", "7d"]),
)


@given(_histories, _rules, st.randoms())
def test_neither_order_nor_repeats_matter(
    history: list[CourseDrop], p: CourseWideDrop, chance: random.Random
) -> None:
    state, _ = count(history, p)
    shuffled = chance.sample(history * 2, k=2 * len(history))
    assert count(shuffled, p)[0] == state
    assert encode_course_drops(count(shuffled, p)[0]) == encode_course_drops(state)


@given(_histories, _rules, st.randoms())
def test_a_window_is_told_of_once_and_if_it_is_kept_whatever_the_order(
    history: list[CourseDrop], p: CourseWideDrop, chance: random.Random
) -> None:
    shuffled = chance.sample(history * 2, k=2 * len(history))
    _, alerts = count(shuffled, p)
    told = [alert.subject for alert in alerts]
    assert len(set(told)) == len(told)
    students: dict[int, set[str]] = {}
    for one in history:
        students.setdefault(one.event_time_ms // p.window * p.window, set()).add(one.user_id)
    full = {begin for begin, some in students.items() if len(some) >= p.min_students}
    newest_ms = max((one.event_time_ms for one in history), default=0)
    kept = {begin for begin in full if begin + p.window > newest_ms - DROPS_KEPT_MS}
    assert set(map(time_from_epoch_ms, kept)) <= set(told) <= set(map(time_from_epoch_ms, full))
    in_order = sorted(history, key=lambda one: one.event_time_ms)
    assert {alert.subject for alert in count(in_order, p)[1]} == set(map(time_from_epoch_ms, full))


@given(_histories, _rules)
def test_what_is_kept_is_bounded_and_the_same_object_when_nothing_changes(
    history: list[CourseDrop], p: CourseWideDrop
) -> None:
    state, _ = count(history, p)
    assert len(state.windows) <= DROPS_KEPT_MS // p.window + 2
    assert all(len(window.students) < p.min_students for window in state.windows)
    for one in history:
        again, alert = count_drop(state, one, p)
        assert (again is state, alert) == (True, None)


@given(_histories, _rules)
def test_what_is_kept_survives_its_encoding(history: list[CourseDrop], p: CourseWideDrop) -> None:
    state, _ = count(history, p)
    assert decode_course_drops(encode_course_drops(state)) == state


@pytest.mark.parametrize("value", [b"", b"\x01\x93", b"\x01\xa6secret", orjson.dumps({})])
def test_what_was_not_written_here_is_refused_without_its_values(value: bytes) -> None:
    with pytest.raises(ValueError, match="course's drops") as refusal:
        decode_course_drops(value)
    assert "secret" not in str(refusal.value)
