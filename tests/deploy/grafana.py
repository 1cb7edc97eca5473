"""Reads the dashboards in deploy/grafana as Grafana would, for tests and pictures without it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.kafka import ROOT

FOLDER = ROOT / "deploy" / "grafana"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))

#: What Grafana puts in place of its variables; the interval is four scrapes, as there.
VARIABLES: Mapping[str, str] = {"$job": "gradewatch", "$instance": ".*", "$__rate_interval": "1m"}


class Query(NamedTuple):
    """One expression of a panel."""

    dashboard: str
    panel: Mapping[str, Any]
    expression: str
    #: Grafana's template of a line's name.
    legend: str


def dashboards() -> list[dict[str, Any]]:
    """Read every dashboard."""
    return [json.loads(path.read_text()) for path in DASHBOARDS]


def queries(variables: Mapping[str, str] = VARIABLES) -> list[Query]:
    """Give every panel's queries, with values in place of the variables."""
    found = []
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in variables.items():
                    expression = expression.replace(name, value)
                found.append(Query(dashboard["uid"], panel, expression, target["legendFormat"]))
    return found
