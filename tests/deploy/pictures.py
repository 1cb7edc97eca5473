"""Draws docs/images/dashboard.svg: the data behind the main panels, asked for as Grafana asks, without it.

`python -m tests.deploy.pictures` runs a worker on Kafka for about a minute and a half, with a wave of events
in it, while Prometheus watches.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.children import LOOPBACK, free_ports
from tests.deploy.drawing import Axis, Line, heat_map, lines, picture
from tests.deploy.grafana import VARIABLES, Query, queries
from tests.deploy.prometheus import Prometheus, missing_tools
from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.kafka import ROOT, KafkaBroker, missing_requirement

PICTURE = ROOT / "docs" / "images" / "dashboard.svg"
PANELS = ("Events in", "Alerts by severity", "Raw to alert", "Lag", "Flush steps", "Time per chunk")

STEP_SECONDS = 1
CALM_PER_SECOND = 150
CALM_SECONDS = 35
WAVE_EVENTS = 25_000
#: Short for a short run; Prometheus asks every second.
RATE_INTERVAL = "5s"


def draw(prometheus: Prometheus, axis: Axis) -> str:
    """Ask for the panels' data and draw them."""
    asked = queries({**VARIABLES, "$__rate_interval": RATE_INTERVAL})
    panels = []
    for title in PANELS:
        of_panel = [query for query in asked if query.panel["title"] == title]
        panels.append(_panel(title, of_panel, prometheus, axis))
    return picture("Gradewatch: a calm stream, and a wave of 25,000 events", panels)


def _panel(title: str, of_panel: list[Query], prometheus: Prometheus, axis: Axis) -> str:
    panel = of_panel[0].panel
    defaults = panel["fieldConfig"]["defaults"]
    answers = [(query, _ask(prometheus, query.expression, axis)) for query in of_panel]
    if panel["type"] == "heatmap":
        ((_, series),) = answers
        buckets = {float(labels["le"]): points for labels, points in series}
        return heat_map(title, axis, buckets, unit=defaults["unit"], step=STEP_SECONDS)
    found = [Line(_name(query, labels), points) for query, series in answers for labels, points in series]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    return lines(title, axis, found, unit=defaults["unit"], stacked=stacked)


def _ask(
    prometheus: Prometheus, expression: str, axis: Axis
) -> list[tuple[Mapping[str, str], dict[float, float]]]:
    answer: Any = prometheus.get(
        "query_range", query=expression, start=str(axis.start), end=str(axis.end), step=str(STEP_SECONDS)
    )
    return [
        (
            series["metric"],
            {float(when): float(value) for when, value in series["values"] if value != "NaN"},
        )
        for series in answer["result"]
    ]


def _name(query: Query, labels: Mapping[str, str]) -> str:
    name = query.legend
    for label, value in labels.items():
        name = name.replace(f"{{{{{label}}}}}", value)
    return name


async def _run(deployment: Deployment) -> None:
    """Write a calm stream with a wave in the middle of it."""
    messages = list(anywhere(semester(71, WAVE_EVENTS + 2 * CALM_PER_SECOND * CALM_SECONDS), seed=71))
    calm = CALM_PER_SECOND * CALM_SECONDS
    await deployment.feed(messages[:calm], per_second=CALM_PER_SECOND)
    await deployment.produce(messages[calm : calm + WAVE_EVENTS])
    await deployment.feed(messages[calm + WAVE_EVENTS :], per_second=CALM_PER_SECOND)
    await deployment.until_done()


async def _start(deployment: Deployment) -> str:
    await deployment.create_topics()
    worker = await deployment.worker(commit_interval_seconds="1").until_ready()
    return f"{LOOPBACK}:{worker.logged('web.listening')[0]['port']}"


def main() -> None:
    """Run it and draw it."""
    missing = missing_tools() or missing_requirement()
    if missing is not None:
        sys.exit(missing)
    with tempfile.TemporaryDirectory() as temporary, KafkaBroker(Path(temporary) / "kafka") as kafka:
        deployment = Deployment(kafka.bootstrap, "", "gradewatch", Path(temporary))
        try:
            instance = asyncio.run(_start(deployment))
            nobody = f"{LOOPBACK}:{free_ports(1)[0]}"
            targets = {"worker-1:6066": instance, "worker-2:6066": nobody}
            with Prometheus(Path(temporary), targets) as prometheus:
                time.sleep(2 * STEP_SECONDS)
                start = time.time()
                asyncio.run(_run(deployment))
                PICTURE.parent.mkdir(exist_ok=True)
                PICTURE.write_text(draw(prometheus, Axis(start, time.time())))
        finally:
            deployment.close()


if __name__ == "__main__":
    main()
