"""Which students truly decline, and what the rules make of a semester."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime

import pytest

from app.semester import Options, RawEvent, Semester
from models.grades import Ignored, Rejected, read
from tables.rules import DEFAULT_RULES, NO_HOLDS, Holds, evaluate
from tables.scores import EMPTY, StudentScores, fold
from tests.semester.views import Parsed, named


def test_labels_name_students_of_the_semester_and_a_day_within_it(
    semester: Semester, events: list[RawEvent]
) -> None:
    labels = list(semester.labels())
    students = {event.student for event in events}
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).date()
        for ms in (semester.options.since_ms, semester.options.until_ms)
    )

    assert labels
    assert {f"{label.root_account_uuid}:{label.user_id}".encode() for label in labels} <= students
    assert all(since < label.decline_from < until for label in labels)
    assert len({label.user_id for label in labels}) < len(students) / 5


def test_labels_leave_out_what_a_cut_stream_cannot_show(semester: Semester) -> None:
    labels = sorted(label.decline_from for label in semester.labels())
    cut_ms = round(datetime(labels[0].year, labels[0].month, labels[0].day, 1, tzinfo=UTC).timestamp() * 1000)

    assert {label.decline_from for label in semester.labels(before_ms=cut_ms)} == {labels[0]}


def test_those_who_decline_end_lower_and_most_others_do_not(semester: Semester, parsed: Parsed) -> None:
    declining = {(label.user_id, label.course_id): label.decline_from for label in semester.labels()}
    first_score: dict[tuple[str, str], float] = {}
    last_score: dict[tuple[str, str], float] = {}
    middle = date(2025, 9, 29)
    for event in named(parsed, "course_grade_change"):
        body = event["body"]
        if "current_score" in body:
            key = (body["user_id"], body["course_id"])
            last_score[key] = body["current_score"]
            if date.fromisoformat(event["metadata"]["event_time"][:10]) <= middle:
                first_score[key] = body["current_score"]

    def mean_change(keys: Iterable[tuple[str, str]]) -> float:
        changes = [last_score[key] - first_score[key] for key in keys]
        return sum(changes) / len(changes)

    assert mean_change(first_score.keys() & declining.keys()) < -5
    assert -3 < mean_change(first_score.keys() - declining.keys()) < 3


@pytest.mark.parametrize("seed", [1, 2])
def test_some_students_trigger_the_rules_and_most_do_not(seed: int) -> None:
    states: dict[bytes, tuple[StudentScores, Holds]] = {}
    alerted: dict[str, set[bytes]] = defaultdict(set)
    for event in Semester(Options(seed=seed, students=100, other_share=0.0)).events():
        record = read(event.value)
        assert not isinstance(record, Ignored | Rejected)
        before, holds = states.get(record.key, (EMPTY, NO_HOLDS))
        after = fold(before, record)
        holds, drafts = evaluate(holds, before, after, record, DEFAULT_RULES)
        states[record.key] = (after, holds)
        for draft in drafts:
            alerted[draft.rule].add(record.key)

    assert len(states) == 100
    for rule in ("score_drop", "threshold_crossed"):
        assert 5 <= len(alerted[rule]) < 50
