"""Every rule against its recorded cases, and what all rules have in common.

The folder `tests/fixtures/rules` has one file for each rule. A case is a list of events and the alerts that
this rule sends for them, other rules' alerts aside; `held` is what the rule holds in course 1 at the start.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.alerts import Alert
from models.records import RECORD_TYPES, GradeRecord
from tables import rules as judging
from tables.parameters import DEFAULT_RULES, Rules
from tables.rules import NO_HOLDS, RULES, AlertDraft, Holds, evaluate
from tables.scores import EMPTY, fold
from tests.tables.histories import deleted, graded, marked, overridden, record, scored

FIXTURES = Path(__file__).parents[1] / "fixtures" / "rules"
OF_EVERY_ALERT = {"event", "status", "severity", "value", "previous", "reference"}
DEFAULTS: dict[str, dict[str, Any]] = {
    "grade_change": {"points_possible": 10, "grading_complete": True, "muted": False}
}


def cases(rule: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / f"{rule}.json").read_text())
    return found


EVERY_CASE = [
    pytest.param(rule.name, case, id=f"{rule.name}: {case['case']}")
    for rule in RULES
    for case in cases(rule.name)
]


def event(description: dict[str, Any]) -> GradeRecord:
    fields = dict(description)
    kind = fields.pop("type", "course_grade_change")
    return record(RECORD_TYPES[kind], fields.pop("day"), **{**DEFAULTS.get(kind, {}), **fields})


def alerts_of(
    history: list[GradeRecord], rules: Rules = DEFAULT_RULES, holds: Holds = NO_HOLDS
) -> list[AlertDraft]:
    scores = EMPTY
    alerts: list[AlertDraft] = []
    for one in history:
        before, scores = scores, fold(scores, one)
        holds, drafts = evaluate(holds, before, scores, one, rules)
        alerts += drafts
    return alerts


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_has_cases_in_which_it_speaks_and_is_silent(rule: str) -> None:
    assert any(case["alerts"] for case in cases(rule))
    assert any(len(case["alerts"]) < len(case["events"]) for case in cases(rule))


def test_every_file_of_cases_is_a_rules() -> None:
    assert {path.stem for path in FIXTURES.glob("*.json")} == {rule.name for rule in RULES}


@pytest.mark.parametrize(("rule", "case"), EVERY_CASE)
def test_a_rule_sends_the_alerts_of_the_case(rule: str, case: dict[str, Any]) -> None:
    history = [event(description) for description in case["events"]]
    rules = Rules.model_validate(case.get("rules", {}))
    held = {name: tuple(values) for name, values in case.get("held", {}).items()}
    holds = Holds({"1": held}) if held else NO_HOLDS
    sent = [draft for draft in alerts_of(history, rules, holds) if draft.rule == rule]
    assert len(sent) == len(case["alerts"]), sent
    for draft, expected in zip(sent, case["alerts"], strict=True):
        assert expected.keys() >= OF_EVERY_ALERT
        cause = history[expected["event"]]
        assert (draft.event_id, draft.event_time) == (cause.event_id, cause.event_time)
        got = {name: getattr(draft, name) for name in expected if name != "event"}
        assert got == {name: value for name, value in expected.items() if name != "event"}


def test_every_rule_of_the_table_has_parameters_and_judges_records_that_exist() -> None:
    assert Rules.model_fields.keys() >= {rule.name for rule in RULES}
    assert all(rule.judged_on <= RECORD_TYPES.keys() for rule in RULES)


def test_a_rule_is_silenced_only_by_one_above_it_in_the_table() -> None:
    above: set[str] = set()
    for rule in RULES:
        assert rule.silent_while is None or rule.silent_while in above
        above.add(rule.name)


def test_an_alerts_id_is_taken_over_what_tells_it_apart() -> None:
    low = scored(0, 55.0)
    (alert,) = alerts_of([low])
    identity = orjson.dumps(["threshold_crossed", "opened", "school:2", "1", "60", low.event_id])
    assert alert.alert_id == hashlib.sha256(identity).hexdigest()[:32]


def test_an_alert_across_courses_has_an_id_without_a_course() -> None:
    second = scored(1, 65.0, course_id="9")
    *_, alert = alerts_of([scored(0, 65.0), second])
    identity = orjson.dumps(["courses_at_risk", "opened", "school:2", None, None, second.event_id])
    assert alert.alert_id == hashlib.sha256(identity).hexdigest()[:32]


def test_a_draft_becomes_an_alert_with_the_time_of_its_detection() -> None:
    (draft,) = alerts_of([scored(0, 55.0)])
    alert = draft.alert("2026-09-01T00:00:01.000Z")
    assert alert == Alert(
        alert_id=draft.alert_id,
        rule="threshold_crossed",
        status="opened",
        severity="critical",
        audience="student",
        root_account_uuid="school",
        user_id="2",
        course_id="1",
        assignment_id=None,
        submission_id=None,
        subject="60",
        event_id=scored(0, 55.0).event_id,
        event_time="2026-09-01T00:00:00.000Z",
        detected_at="2026-09-01T00:00:01.000Z",
        value=55.0,
        previous=None,
        reference=60.0,
        message="The posted score is 55, below the threshold of 60.",
    )


def test_a_changed_status_becomes_an_alert_with_its_names() -> None:
    *_, draft = alerts_of([marked(0, "Incomplete"), marked(1, "Withdrawn")])
    alert = draft.alert("2026-09-03T00:00:00.000Z")
    assert (alert.value, alert.previous) == ("Withdrawn", "Incomplete")


def test_holds_are_the_same_object_when_nothing_changes() -> None:
    holds, _ = evaluate(NO_HOLDS, EMPTY, after := fold(EMPTY, low := scored(0, 55.0)), low, DEFAULT_RULES)
    for quiet in (scored(1, 56.0), scored(-1, 10.0), low, graded(0, "5", 1.0, course_id=None)):
        assert evaluate(holds, after, fold(after, quiet), quiet, DEFAULT_RULES) == (holds, ())
        assert evaluate(holds, after, fold(after, quiet), quiet, DEFAULT_RULES)[0] is holds


def test_a_closed_course_holds_nothing_and_the_other_one_all_it_held() -> None:
    scores, holds = EMPTY, NO_HOLDS
    for one in (scored(0, 55.0), scored(0, 55.0, course_id="9"), deleted(1)):
        before, scores = scores, fold(scores, one)
        holds, _ = evaluate(holds, before, scores, one, DEFAULT_RULES)
    assert holds == Holds({"9": {"threshold_crossed": ("70", "60")}})


def test_a_late_record_that_drops_an_old_course_drops_what_was_held_for_it() -> None:
    scores, holds = EMPTY, NO_HOLDS
    for one in (scored(0, 55.0), overridden(401, 80.0, course_id="9")):
        before, scores = scores, fold(scores, one)
        holds, _ = evaluate(holds, before, scores, one, DEFAULT_RULES)
    assert holds == NO_HOLDS


def test_other_rules_speak_of_the_next_grade_that_counts() -> None:
    stricter = Rules.model_validate({"low_assignment_average": {"below": 95}})
    scores = EMPTY
    for day, submission_id in enumerate("567"):
        scores = fold(scores, graded(day, submission_id, 9.0))
    hidden, counted = graded(3, "8", 9.0, muted=True), graded(4, "9", 9.0)
    assert evaluate(NO_HOLDS, scores, fold(scores, hidden), hidden, stricter) == (NO_HOLDS, ())
    _, (alert,) = evaluate(NO_HOLDS, scores, fold(scores, counted), counted, stricter)
    assert (alert.rule, alert.status) == ("low_assignment_average", "opened")


def test_what_is_known_of_rules_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_MOST_PLANS", 2)
    monkeypatch.setattr(judging, "_plans", {})
    low = scored(0, 55.0)
    for below in range(40, 70, 5):
        rules = Rules.model_validate({"threshold_crossed": {"thresholds": [below]}})
        _, alerts = evaluate(NO_HOLDS, EMPTY, fold(EMPTY, low), low, rules)
        assert bool(alerts) == (below > 55)
        assert len(judging._plans) <= 2
