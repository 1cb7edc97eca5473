"""After an hour of downtime: a backlog scattered over the raw partitions, read in step and not.

What reaches the scorer after something newer of the same student and course is late, and silent. The table
shows the share of late events, what reading in step costs in throughput, and what it does to live latency.
"""

from statistics import median
from typing import Any

from bench.fill import Filled, grade_events, scattered
from bench.launch import GRADEWATCH, GRADEWATCH_OUT_OF_STEP, Contender
from bench.metrics import scrape
from bench.parts import latency
from bench.session import Session
from bench.stats import ratio

_DOWNTIME_SECONDS = 3_600.0
_PARTITIONS = 4


async def run(session: Session) -> None:
    """Measure both ways of reading, in turns."""
    count = session.sizes.backlog
    filled = await session.fill(
        "backlog",
        count,
        grade_events(count),
        partitions=_PARTITIONS,
        placing=scattered(_PARTITIONS),
        backlog_seconds=_DOWNTIME_SECONDS,
    )
    ways = (GRADEWATCH, GRADEWATCH_OUT_OF_STEP)
    speeds: dict[str, list[float]] = {way.name: [] for way in ways}
    shares: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(session.sizes.rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            events_per_second, late = await _measure(session, way, filled)
            speeds[way.name].append(events_per_second)
            shares[way.name].append(late)
            session.console.print(
                f"catch-up, {way.label}: {events_per_second:,.0f} events/s, {100 * late:.3f} % of them late"
            )
    in_step, out_of_step = (median(speeds[way.name]) for way in ways)
    details: dict[str, Any] = {
        "events": filled.events,
        "late_share": {way.name: max(shares[way.name]) for way in ways},
        "events_per_second": {way.name: speeds[way.name] for way in ways},
        "price_percent": 100 * (1 - (ratio(in_step, out_of_step) or 0.0)),
        "latency_ms": {way.name: await latency.of(session, way) for way in ways},
    }
    session.details["catchup"] = details


async def _measure(session: Session, way: Contender, filled: Filled) -> tuple[float, float]:
    async with (
        session.contender(way, filled.topic, partitions=_PARTITIONS) as run,
        session.worked_through(run, filled, f"catch-up: {way.label}") as measured,
    ):
        values = await scrape(run.plan.metrics_port or 0)
    late = values.get("gradewatch_late_events_total", 0.0)
    return measured.events_per_second, late / filled.grade_events
