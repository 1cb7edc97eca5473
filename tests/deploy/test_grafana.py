"""The dashboards: whole by themselves, provisioned, and each panel's query answered by a real Prometheus."""

import re
from typing import Any

import pytest
import yaml

from agents.metrics import describe
from tests.deploy.conftest import Watched
from tests.deploy.grafana import DASHBOARDS, FOLDER, Query, dashboards, queries
from tests.deploy.prometheus import METRIC, metric_of, rules
from tests.kafka import ROOT

GRID_COLUMNS = 24


def dashboard_id(dashboard: dict[str, Any]) -> str:
    return str(dashboard["uid"])


def query_id(query: Query) -> str:
    return f"{query.dashboard}: {query.panel['title']}: {query.legend}"


def provisioned(kind: str) -> Any:
    (path,) = (FOLDER / "provisioning" / kind).glob("*.yml")
    return yaml.safe_load(path.read_text())


def test_there_is_an_overview_and_one_of_the_engine() -> None:
    assert [path.stem for path in DASHBOARDS] == ["engine", "overview"]
    assert len({dashboard["uid"] for dashboard in dashboards()}) == len(DASHBOARDS)


@pytest.mark.parametrize("dashboard", dashboards(), ids=dashboard_id)
def test_panels_are_told_apart_described_and_side_by_side(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    for name in ("id", "title"):
        assert len({panel[name] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("dashboard", dashboards(), ids=dashboard_id)
def test_every_query_goes_to_the_provisioned_prometheus(dashboard: dict[str, Any]) -> None:
    (source,) = provisioned("datasources")["datasources"]
    for panel in dashboard["panels"]:
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_every_metric_is_shown_somewhere() -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    shown = " ".join(query.expression for query in queries())
    shown += " ".join(expression for name, expression in recorded.items() if name in shown)
    asked = {metric_of(name) for name in METRIC.findall(shown)}
    assert {info.name for info in describe()} <= asked


def test_every_recorded_series_is_asked_for() -> None:
    asked = " ".join(rule["expr"] for rule in rules()) + " ".join(query.expression for query in queries())
    assert [rule["record"] for rule in rules() if "record" in rule and rule["record"] not in asked] == []


def test_every_limit_that_is_drawn_is_one_of_the_rules() -> None:
    drawn = {query.expression for query in queries() if query.legend == "limit"}
    assert drawn
    assert drawn <= {rule.get("record") for rule in rules()}


def test_panels_that_the_runbook_sends_to_are_there() -> None:
    runbook = " ".join((ROOT / "docs" / "runbook.md").read_text().split())
    named = {
        title
        for names in re.findall(r"[Pp]anels? ((?:\*[^*]+\*[, and]*)+)", runbook)
        for title in names.split("*")
    }
    named = {title for title in named if re.match(r"[A-Z]", title)}
    assert named
    assert named <= {panel["title"] for dashboard in dashboards() for panel in dashboard["panels"]}


@pytest.mark.parametrize("query", queries(), ids=query_id)
def test_a_panels_query_has_an_answer(watched: Watched, query: Query) -> None:
    series = watched.prometheus.query(query.expression)
    assert series
    for name in re.findall(r"{{(\w+)}}", query.legend):
        assert all(labels.get(name) for labels, _ in series), name
