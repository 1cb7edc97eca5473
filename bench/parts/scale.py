"""One, two and four workers on 4 and 8 partitions. On few cores the CPU time per event is what tells."""

from dataclasses import asdict

from bench.fill import grade_events
from bench.launch import GRADEWATCH
from bench.measure import check_alerts
from bench.session import Session

_PARTITIONS = (4, 8)
_WORKERS = (1, 2, 4)


async def run(session: Session) -> None:
    """Measure each combination once."""
    count = session.sizes.scale
    rows = []
    for partitions in _PARTITIONS:
        filled = await session.fill(f"scale-{partitions}", count, grade_events(count), partitions=partitions)
        for workers in _WORKERS:
            what = f"scale: {workers} workers, {partitions} partitions"
            async with session.contender(
                GRADEWATCH, filled.topic, partitions=partitions, workers=workers
            ) as run:
                async with session.worked_through(run, filled, what) as measured:
                    rows.append({"workers": workers, "partitions": partitions, **asdict(measured)})
                await check_alerts(run.cluster, run.plan, filled.alerts)
            session.console.print(
                f"{what}: {measured.events_per_second:,.0f} events/s, "
                f"{measured.cpu_seconds_per_million:.1f} CPU s per million"
            )
    session.details["scale"] = rows
