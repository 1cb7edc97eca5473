"""The rules in deploy/prometheus are right; each alert is tried both ways and explained in the runbook."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agents.metrics import describe
from tests.deploy.prometheus import FOLDER, METRIC, RULE_FILES, RULE_TESTS, metric_of, promtool, rules
from tests.kafka import ROOT

RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTS = [rule for rule in rules() if "alert" in rule]


def alert_name(alert: dict[str, Any]) -> str:
    return str(alert["alert"])


def alert_tests() -> Iterator[dict[str, Any]]:
    for path in RULE_TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            yield from case["alert_rule_test"]


@pytest.mark.usefixtures("prometheus_installed")
def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert RULE_FILES
    for check in (
        promtool("check", "config", FOLDER / "prometheus.yml"),
        promtool("check", "rules", *RULE_FILES),
    ):
        assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.usefixtures("prometheus_installed")
def test_alerts_fire_and_stay_silent_as_their_tests_say() -> None:
    done = promtool("test", "rules", *RULE_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=alert_name)
def test_an_alert_is_tried_both_ways(alert: dict[str, Any]) -> None:
    tried = [bool(test["exp_alerts"]) for test in alert_tests() if test["alertname"] == alert["alert"]]
    assert set(tried) == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=alert_name)
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == RUNBOOK
    assert anchor == alert["alert"].lower()


def test_the_runbook_has_a_chapter_for_each_alert_with_all_its_parts() -> None:
    chapters = dict(re.findall(r"^## (Gradewatch\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.M | re.S))
    assert list(chapters) == [alert["alert"] for alert in ALERTS]
    for name, text in chapters.items():
        for part in ("**Means.**", "**Look at.**", "**Do.**"):
            assert text.count(part) == 1, (name, part)


def test_rules_ask_for_nothing_but_what_is_there() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    declared = {info.name for info in describe()}
    for rule in rules():
        for name in METRIC.findall(rule["expr"]):
            known = name in recorded or metric_of(name) in declared or name.startswith("process_")
            assert known, (rule, name)
