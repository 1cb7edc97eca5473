"""12: `python -m tests.faults.soak`: steady load for half an hour, with a kill every 20 seconds.

What a worker holds (memory, file descriptors) and how far behind it is (lag, latency) is sampled all the
while; none of it may grow. At the end everything is compared with what the pure functions say.
"""

import asyncio
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import click
from rich.console import Console

from tests.e2e.harness import Deployment, Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome
from tests.faults.plot import Panel, write
from tests.faults.stage import Stage, feeding, finish, resident_mib
from tests.kafka import ROOT, KafkaBroker, missing_requirement

PLOT: Final = ROOT / "docs" / "images" / "soak.svg"
KILL_EVERY_SECONDS: Final = 20.0
SAMPLE_EVERY_SECONDS: Final = 1.0
EVENTS_PER_SECOND: Final = 300
#: The worker that is never killed: what it holds must be flat.
STEADY, KILLED = "steady", "killed"
#: By how much the median of the last quarter may exceed that of the second; the first is for warming up.
MAY_GROW_BY: Final = 1.25
#: A shorter run only warms up; nothing can be said about growth then.
JUDGED_FROM_MINUTES: Final = 10.0
#: What may be gained in any case: memory is given out in pieces, a chunk more or less is lag.
SLACK: Final = {"memory_mib": 40.0, "descriptors": 20.0, "lag": 2000.0, "latency_ms": 500.0}


class Sample(NamedTuple):
    """What was seen of the worker that is never killed, and of the deployment."""

    seconds: float
    memory_mib: float
    descriptors: float
    lag: float
    """Records that the group has not committed, over all topics."""
    latency_ms: float
    """Mean from the raw message's time to the alert since the sample before; repeated where none was sent."""


@dataclass
class Soak:
    """What was sampled and what came of it."""

    samples: list[Sample] = field(default_factory=list)
    kill_times: list[float] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    def grown(self) -> dict[str, str]:
        """Return what has grown, in words."""
        quarter = len(self.samples) // 4
        found = {}
        for name, slack in SLACK.items():
            values = [getattr(sample, name) for sample in self.samples]
            before = statistics.median(values[quarter : 2 * quarter])
            after = statistics.median(values[-quarter:])
            if after > before * MAY_GROW_BY and after > before + slack:
                found[name] = f"{name} grew from {before:.0f} to {after:.0f}"
        return found


@click.command()
@click.option("--minutes", type=click.FloatRange(min=1.0), default=30.0, help="How long (30).")
@click.option("--plot", type=click.Path(path_type=Path), default=PLOT, help="Where the plot goes.")
def main(minutes: float, plot: Path) -> None:
    """Feed two workers steadily, kill one of them every 20 seconds, and see whether anything grows.

    Ends with 1 if something grows or differs.
    """
    missing = missing_requirement()
    if missing:
        raise click.ClickException(missing)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="gradewatch-soak-") as name,
        KafkaBroker(Path(name) / "kafka") as kafka,
        console.status("starting") if console.is_terminal else contextlib.nullcontext() as status,
    ):

        def say(what: str) -> None:
            if status is not None:
                status.update(what)

        said = io.StringIO()
        with contextlib.redirect_stdout(said):  # what the workers logged
            soak = asyncio.run(_soak(Stage(Path(name), kafka, quick=False, say=say), minutes * 60.0))
    _draw(plot, soak, minutes)
    _report(Console(), soak, minutes)
    if not soak.outcome.went_well or (minutes >= JUDGED_FROM_MINUTES and soak.grown()):
        raise SystemExit(1)


async def _soak(stage: Stage, seconds: float) -> Soak:
    soak = Soak()
    async with stage.deployment() as deployment:
        # One semester for all of it: what the worker keeps of its students is bounded then.
        events = int(EVENTS_PER_SECOND * seconds)
        async with feeding(deployment, seed=120, per_second=EVENTS_PER_SECOND, events=events):
            steady = await deployment.worker(STEADY, instance_id=STEADY).until_ready()
            sampling = asyncio.create_task(_sample(soak, deployment, steady))
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                assert not sampling.done(), f"sampling ended: {sampling.exception()}"
                stage.say(f"{passed / 60:.1f} of {seconds / 60:.0f} minutes, {soak.outcome.kills} kills")
                victim = deployment.worker(KILLED, instance_id=KILLED)
                await asyncio.sleep(KILL_EVERY_SECONDS)
                assert steady.exit_code is None, f"the steady worker ended with {steady.exit_code}"
                await victim.kill()
                soak.kill_times.append(time.monotonic() - began)
                soak.outcome.kills += 1
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
        stage.say("comparing")
        await finish(deployment, steady)
        soak.outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    return soak


async def _sample(soak: Soak, deployment: Deployment, worker: Worker) -> None:
    """Sample for ever."""
    began = time.monotonic()
    alerts, alert_seconds, latency_ms = 0.0, 0.0, 0.0
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            sums = {"gradewatch_raw_to_alert_seconds_sum": 0.0, "gradewatch_raw_to_alert_seconds_count": 0.0}
            for name, _, value in await worker.samples():
                if name in sums:
                    sums[name] += value
            total, count = sums.values()
            if count > alerts:
                latency_ms = 1000.0 * (total - alert_seconds) / (count - alerts)
                alerts, alert_seconds = count, total
        soak.samples.append(
            Sample(
                time.monotonic() - began,
                resident_mib(worker),
                _descriptors(worker),
                await _lag(deployment),
                latency_ms,
            )
        )
        await asyncio.sleep(SAMPLE_EVERY_SECONDS)


def _descriptors(worker: Worker) -> int:
    return sum(1 for _ in Path(f"/proc/{worker.pid}/fd").iterdir())


async def _lag(deployment: Deployment) -> float:
    committed = await deployment.committed()
    topology = deployment.topology
    ends = [await deployment.ends(topic) for topic in (topology.raw, topology.records, topology.course_drops)]
    return float(sum(end - committed.get(tp, 0) for of_topic in ends for tp, end in of_topic.items()))


def _draw(plot: Path, soak: Soak, minutes: float) -> None:
    seconds = [sample.seconds for sample in soak.samples]

    def panel(title: str, unit: str, values: Iterable[float]) -> Panel:
        return Panel(title, unit, seconds, list(values))

    write(
        plot,
        [
            panel("Memory of the worker that is not killed", "MiB", (s.memory_mib for s in soak.samples)),
            panel("Its file descriptors", "", (s.descriptors for s in soak.samples)),
            panel("Records not committed yet, all topics", "", (s.lag for s in soak.samples)),
            panel("From raw event to alert, mean", "ms", (s.latency_ms for s in soak.samples)),
        ],
        soak.kill_times,
        f"{EVENTS_PER_SECOND} events per second for {minutes:g} minutes; of two workers one is killed "
        f"every {KILL_EVERY_SECONDS:g} seconds ({soak.outcome.kills} kills, the dots)",
    )


def _report(console: Console, soak: Soak, minutes: float) -> None:
    outcome = soak.outcome
    console.print(
        f"{minutes:g} minutes, {outcome.kills} kills, {outcome.repeats.records} records and "
        f"{outcome.repeats.alerts} alerts repeated",
        soft_wrap=True,
    )
    for name in SLACK:
        values: Sequence[float] = [getattr(sample, name) for sample in soak.samples]
        console.print(
            f"{name}: median {statistics.median(values):.0f}, least {min(values):.0f}, most {max(values):.0f}"
        )
    for part in sorted(outcome.compared):
        console.print(f"{part}: {outcome.equality(part)}")
    for problem in soak.grown().values():
        told = problem if minutes >= JUDGED_FROM_MINUTES else f"{problem} (too short to tell anything)"
        console.print(told, style="red")


if __name__ == "__main__":
    main(prog_name=f"{Path(sys.executable).name} -m tests.faults.soak")
