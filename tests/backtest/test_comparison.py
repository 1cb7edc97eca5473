"""What other rules add and remove is the difference of the two sets of alert ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from app.backtest.backtest import Backtest
from app.backtest.rulesets import RuleSet
from app.rules import load_rules
from tables.cases import AlertDraft
from tables.parameters import CourseWideDrop, Rules, ScoreDrop
from tables.rulebook import Rulebook
from tests.backtest.conftest import Recording, backtest, document, pure_alerts
from tests.tables.histories import scored

Write = Callable[..., Path]


def statuses(alerts: Collection[AlertDraft]) -> Counter[tuple[str, str]]:
    return Counter((alert.rule, alert.status) for alert in alerts)


def test_added_and_removed_are_the_differences_of_the_alert_ids(
    recording: Recording, write: Write, eager_rules: Path
) -> None:
    found = document(write("semester.jsonl", recording), "--compare", eager_rules)

    first = {alert.alert_id: alert for alert in pure_alerts(recording)}
    second = {alert.alert_id: alert for alert in pure_alerts(recording, load_rules(eager_rules))}
    expected = {
        "same": statuses([first[key] for key in first.keys() & second.keys()]),
        "added": statuses([second[key] for key in second.keys() - first.keys()]),
        "removed": statuses([first[key] for key in first.keys() - second.keys()]),
        "other_severity": statuses(
            [
                first[key]
                for key in first.keys() & second.keys()
                if first[key].severity != second[key].severity
            ]
        ),
    }
    by_rule = found["compare"]["by_rule"]
    for change, counts in expected.items():
        assert counts, change
        assert counts == Counter(
            {(rule, status): n for rule, of in by_rule.items() for status, n in of[change].items() if n}
        )
    assert found["compare"]["added"] == expected["added"].total()
    assert found["alerts"] == len(first)
    assert found["compare"]["alerts"] == len(second)
    names = {alert.user_id for alert in first.values() if alert.status != "resolved"}
    others = {alert.user_id for alert in second.values() if alert.status != "resolved"}
    assert found["compare"]["students_added"] == len(others - names - {None})


def test_rules_against_themselves_change_nothing(
    recording: Recording, write: Write, eager_rules: Path
) -> None:
    found = document(write("semester.jsonl", recording), "--rules", eager_rules, "--compare", eager_rules)

    compared = found["compare"]
    assert (compared["added"], compared["removed"]) == (0, 0)
    assert compared["same"] == found["alerts"] > 100


def test_both_sets_of_rules_are_told_side_by_side(
    recording: Recording, write: Write, eager_rules: Path
) -> None:
    result = backtest(write("semester.jsonl", recording), "--compare", eager_rules)

    assert f"What {eager_rules.name} adds to built-in defaults, and removes" in result.stdout
    assert " / " in result.stdout


def test_files_of_one_name_are_told_apart_by_their_paths(
    in_order: Recording, write: Write, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rules.toml").write_text("")
    one, two = (tmp_path / folder / "rules.toml" for folder in ("one", "two"))

    found = document(write("semester.jsonl", in_order), "--rules", one, "--compare", two)

    assert found["rules"]["name"] == str(one)
    assert found["compare"]["rules"]["name"] == str(two)
    assert found["rules"]["hash"] == found["compare"]["rules"]["hash"]


def course_wide(min_students: int) -> RuleSet:
    parameters = CourseWideDrop(min_students=min_students)
    rules = Rules(score_drop=ScoreDrop(min_drop=5), course_wide_drop=parameters)
    return RuleSet(str(min_students), Rulebook(rules))


def test_an_alert_about_a_course_is_the_same_though_another_drop_led_to_it() -> None:
    sooner_and_later = Backtest([course_wide(2), course_wide(3)])
    never = Backtest([course_wide(4), course_wide(2)])
    for test in (sooner_and_later, never):
        for student in ("2", "3", "4"):
            test.judge([scored(0, 90, user_id=student), scored(1, 80, user_id=student, event_id="f" * 32)])

    compared = sooner_and_later.report().comparison
    assert compared is not None
    assert compared.same["course_wide_drop", "opened"] == 1
    assert not +compared.added
    assert not +compared.removed
    compared = never.report().comparison
    assert compared is not None
    assert +compared.added == {("course_wide_drop", "opened"): 1}
