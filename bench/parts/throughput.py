"""Events per second: every contender over the same topic, in turns, each round in another order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from bench import results
from bench.fill import Filled, RawEvent, firehose, grade_events
from bench.launch import (
    FAUST,
    GRADEWATCH,
    GRADEWATCH_2,
    KAFKA_STREAMS,
    KAFKA_STREAMS_2,
    LIMIT,
    QUIX,
    Contender,
)
from bench.measure import Throughput, check_alerts
from bench.session import Session
from bench.stats import Spread

CONTENDERS = (GRADEWATCH, KAFKA_STREAMS, QUIX, GRADEWATCH_2, KAFKA_STREAMS_2, LIMIT, FAUST)
QUICK_CONTENDERS = (GRADEWATCH, GRADEWATCH_2, KAFKA_STREAMS, QUIX, LIMIT, FAUST)


async def run(session: Session, topic: str, contenders: Sequence[Contender]) -> results.Throughput:
    """Measure all contenders on `grades` or on the `firehose`."""
    source: Callable[[int], Iterator[RawEvent]] = grade_events if topic == "grades" else firehose
    count = session.sizes.grades if topic == "grades" else session.sizes.firehose
    whole = await session.fill(topic, count, source(count))
    small = whole
    if FAUST in contenders and session.sizes.faust_share < 1:
        few = int(count * session.sizes.faust_share)
        small = await session.fill(f"{topic}-small", few, source(few))

    runs: dict[str, list[Throughput]] = {contender.label: [] for contender in contenders}
    for number in range(session.sizes.rounds):
        turn = number % len(contenders)
        for contender in (*contenders[turn:], *contenders[:turn]):
            what = f"{topic}, round {number + 1} of {session.sizes.rounds}: {contender.label}"
            measured = await _measure(session, contender, small if contender is FAUST else whole, what)
            runs[contender.label].append(measured)
            session.console.print(
                f"{what}: {measured.events_per_second:,.0f} events/s, "
                f"{measured.cpu_seconds_per_million:.1f} CPU s per million, {measured.max_rss_mib:,.0f} MiB"
            )

    session.details.setdefault("throughput", {})[topic] = {
        "topic": {"events": whole.events, "grade_events": whole.grade_events, "bytes": whole.bytes},
        "contenders": {
            contender.label: _summary(contender, runs[contender.label]) for contender in contenders
        },
    }
    best: dict[str, float] = {}
    for contender in contenders:
        eps = median(run.events_per_second for run in runs[contender.label])
        best[contender.name] = max(eps, best.get(contender.name, 0.0))
    return results.Throughput(**best)


async def _measure(session: Session, contender: Contender, filled: Filled, what: str) -> Throughput:
    async with session.contender(contender, filled.topic) as run:
        async with session.worked_through(run, filled, what) as measured:
            """The processes end before their alerts are counted."""
        await check_alerts(run.cluster, run.plan, filled.alerts)
        return measured


def _summary(contender: Contender, runs: Sequence[Throughput]) -> dict[str, Any]:
    return {
        "name": contender.name,
        "events_per_second": asdict(Spread.of([run.events_per_second for run in runs])),
        "cpu_seconds_per_million": asdict(Spread.of([run.cpu_seconds_per_million for run in runs])),
        "max_rss_mib": asdict(Spread.of([run.max_rss_mib for run in runs])),
        "seconds": [round(run.seconds, 2) for run in runs],
    }
