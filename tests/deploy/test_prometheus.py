"""A real Prometheus asks a real worker, and its rules work on what it's told."""

import asyncio

from agents.metrics import describe
from tests.deploy.conftest import Watched
from tests.deploy.prometheus import rules


def test_prometheus_counts_what_was_written(watched: Watched) -> None:
    prometheus, topology = watched.prometheus, watched.deployment.topology
    assert prometheus.value(f'up{{job="gradewatch", instance="{watched.instance}"}}') == 1
    assert prometheus.value("sum(gradewatch_events_total)") == watched.messages
    written = {
        outcome: sum(asyncio.run(watched.deployment.ends(topic)).values())
        for outcome, topic in (("record", topology.records), ("rejected", topology.dead_letters))
    }
    for outcome, count in written.items():
        assert count > 0
        assert prometheus.value(f'sum(gradewatch_events_total{{outcome="{outcome}"}})') == count
    assert prometheus.value("sum(gradewatch_dead_letters_total)") == written["rejected"]
    prometheus.until("sum(gradewatch_consumer_lag_records)", 0)


def test_every_declared_metric_is_in_prometheus(watched: Watched) -> None:
    suffix = {"counter": "", "gauge": "", "histogram": "_bucket"}
    for info in describe():
        series = watched.prometheus.query(f"{info.name}{suffix[info.kind]}")
        assert series, info.name
        assert all(set(info.labels) <= set(labels) for labels, _ in series), info.name
    assert watched.prometheus.query('process_resident_memory_bytes{job="gradewatch"}')


def test_every_rule_is_healthy_and_what_is_recorded_is_there(watched: Watched) -> None:
    groups = watched.prometheus.get("rules")["groups"]
    evaluated = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert {rule.get("record", rule.get("alert")) for rule in rules()} == set(evaluated)
    assert {name: rule.get("lastError") for name, rule in evaluated.items() if rule["health"] != "ok"} == {}
    for rule in rules():
        if "record" in rule:
            assert watched.prometheus.query(rule["record"]), rule["record"]


def test_only_the_worker_that_is_not_there_is_about_to_alarm(watched: Watched) -> None:
    alerts = watched.prometheus.get("alerts")["alerts"]
    assert [
        (a["labels"]["alertname"], a["labels"]["instance"]) for a in alerts if "instance" in a["labels"]
    ] == [("GradewatchWorkerDown", watched.missing_instance)]
    assert [alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"] == []
