"""What all parts of a benchmark run share: the broker, folders, the screen, and the details they add to."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.cluster import Cluster
from bench.fill import Filled, Placing, RawEvent, fill
from bench.launch import Contender, Job, Plan
from bench.measure import Throughput, prepare, throughput
from bench.processes import Processes


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 3
    grades: int = 600_000
    firehose: int = 2_000_000
    #: Idiomatic Faust would take most of the time; it gets so small a part of the events.
    faust_share: float = 0.1
    latency_rate: int = 1_000
    latency_warm_up_seconds: float = 20.0
    latency_seconds: float = 60.0
    restored_students: int = 400_000
    student_courses: int = 1_000_000
    scale: int = 400_000
    backlog: int = 300_000
    run_timeout_seconds: float = 300.0


@dataclass
class Session:
    """One call of the benchmark."""

    bootstrap: str
    directory: Path
    console: Console
    progress: Progress
    sizes: Sizes
    details: dict[str, Any] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=count)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar; yields what sets how much is done."""
        task = self.progress.add_task(what, total=total)
        try:
            yield lambda done: self.progress.update(task, completed=done)
        finally:
            self.progress.remove_task(task)

    async def fill(
        self,
        topic: str,
        count: int,
        events: Iterator[RawEvent],
        *,
        partitions: int = 4,
        placing: Placing | None = None,
        backlog_seconds: float | None = None,
    ) -> Filled:
        """Create and fill a raw topic."""
        async with Cluster(self.bootstrap) as cluster:
            with self.bar(f"filling {topic}", count) as set_done:
                filled = await fill(
                    cluster,
                    topic,
                    partitions,
                    events,
                    placing=placing,
                    backlog_seconds=backlog_seconds,
                    backlog_events=count,
                    progress=set_done,
                )
        self.console.print(
            f"Topic {topic}: {filled.events:,} events on {partitions} partitions, {filled.grade_events:,} of "
            f"them grades, {filled.bytes / max(1, filled.events):,.0f} bytes each, "
            f"{len(filled.alerts):,} alerts to be found"
        )
        return filled

    @asynccontextmanager
    async def worked_through(self, run: "Run", filled: Filled, what: str) -> AsyncIterator[Throughput]:
        """Let a run work through a topic; its processes are there until the block ends."""
        with self.bar(what, filled.events) as set_done, run.processes() as processes:
            yield await throughput(
                run.cluster,
                run.plan,
                processes,
                filled,
                timeout_seconds=self.sizes.run_timeout_seconds,
                progress=set_done,
            )

    @asynccontextmanager
    async def contender(
        self, contender: Contender, topic: str, *, partitions: int = 4, workers: int = 1
    ) -> AsyncIterator["Run"]:
        """Prepare one run of a contender over a raw topic; all that it made is removed afterwards."""
        name = f"run{next(self._numbers)}-{contender.name.replace('_', '-')}"
        folder = self.directory / name
        (folder / "state").mkdir(parents=True)
        job = Job(name, self.bootstrap, topic, partitions, folder / "state", workers)
        plan = contender.plan(job)
        async with Cluster(self.bootstrap) as cluster:
            await prepare(cluster, plan, partitions)
            try:
                yield Run(cluster, plan, folder, workers)
            finally:
                await cluster.delete_all_of(name)
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Run:
    """A contender that is ready to be started, more than once if need be."""

    cluster: Cluster
    plan: Plan
    folder: Path
    workers: int

    def processes(self) -> Processes:
        """Return its processes, to be started by `with`."""
        return Processes([self.plan.command] * self.workers, self.plan.env, self.folder / "log")

    def wipe(self) -> None:
        """Remove its local state, and what its processes have said so far."""
        shutil.rmtree(self.folder / "state")
        (self.folder / "state").mkdir()
        (self.folder / "log").unlink()


def progress_bars(console: Console) -> Progress:
    """Return the screen's progress bars."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
