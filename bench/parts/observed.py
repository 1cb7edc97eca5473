"""What the metrics cost: the same worker with them and with ones that note nothing, in turns."""

from statistics import median
from typing import Any

from bench.fill import firehose, grade_events
from bench.launch import GRADEWATCH, GRADEWATCH_WITHOUT_METRICS
from bench.session import Session
from bench.stats import ratio

_WAYS = (GRADEWATCH, GRADEWATCH_WITHOUT_METRICS)


async def run(session: Session) -> None:
    """Measure both on both kinds of topics."""
    details: dict[str, Any] = {}
    for topic, source, count in (
        ("grades", grade_events, session.sizes.scale),
        ("firehose", firehose, session.sizes.scale * 3),
    ):
        filled = await session.fill(f"observed-{topic}", count, source(count))
        cpu: dict[str, list[float]] = {way.name: [] for way in _WAYS}
        for number in range(session.sizes.rounds):
            for way in _WAYS if number % 2 == 0 else _WAYS[::-1]:
                async with (
                    session.contender(way, filled.topic) as run,
                    session.worked_through(run, filled, way.label) as measured,
                ):
                    cpu[way.name].append(measured.cpu_seconds_per_million)
                session.console.print(
                    f"{topic}, {way.label}: {measured.cpu_seconds_per_million:.2f} CPU s per million, "
                    f"{measured.events_per_second:,.0f} events/s"
                )
        with_them, without = (median(cpu[way.name]) for way in _WAYS)
        details[topic] = {
            "cpu_seconds_per_million": cpu,
            "price_percent": 100 * ((ratio(with_them, without) or 1.0) - 1),
        }
    session.details["observed"] = details
