"""`python -m bench.profile [grades|firehose]`: where a worker's microseconds per event go.

py-spy samples the stacks of a real worker while it works through a filled topic, 250 times a second and
only where a thread holds the interpreter, and the worker's CPU time is shared out by the samples. The worker
is slowed down a little by being looked at; the shares are right, the sum is a few percent high.
"""

import asyncio
import logging
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench import report
from bench.broker import broker
from bench.fill import firehose, grade_events
from bench.launch import GRADEWATCH
from bench.measure import throughput
from bench.processes import Processes
from bench.session import Session, Sizes, progress_bars

_ROWS = 40
_SAMPLES_PER_SECOND = 250
#: py-spy's line for a stack: frames from the outermost on, and how often it was seen.
_LINE = re.compile(r"(?P<stack>.*) (?P<count>\d+)$")
_IMPORTING = "importlib._bootstrap"
#: What has more than this in it is only the way down to where the work is.
_WAY_DOWN_SHARE = 0.8
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(?::\d+)?\)$")


class Shares(NamedTuple):
    """Samples by function: on top of the stack, and anywhere in it."""

    samples: int
    own: Counter[str]
    with_callees: Counter[str]
    by_thread: Counter[str]


def shares(lines: Iterable[str]) -> Shares:
    """Add up py-spy's raw output; functions are named with their file, without line numbers."""
    own: Counter[str] = Counter()
    with_callees: Counter[str] = Counter()
    by_thread: Counter[str] = Counter()
    samples = 0
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        count = int(match["count"])
        frames = [_function(frame) for frame in match["stack"].split(";")]
        thread, *calls = frames
        if not calls or any(_IMPORTING in call for call in calls):
            continue  # before the clock starts
        samples += count
        by_thread[thread] += count
        own[calls[-1]] += count
        for function in set(calls):
            with_callees[function] += count
    return Shares(samples, own, with_callees, by_thread)


def _function(frame: str) -> str:
    match = _FRAME.match(frame)
    return frame if match is None else f"{match['function']} ({match['file']})"


@click.command()
@click.argument("topic", type=click.Choice(["grades", "firehose"]), default="grades")
@click.option("--events", type=click.IntRange(1_000), help="Events in the topic.")
@click.option("--output", type=click.Path(path_type=Path), help="Keep py-spy's raw stacks in this file.")
def main(topic: str, events: int | None, output: Path | None) -> None:
    """Fill a topic, let one worker work through it, and show what its time went into."""
    console = report.console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    directory = Path(tempfile.mkdtemp(prefix="gradewatch-profile-"))
    raw = output or directory / "stacks.txt"
    count = events or (400_000 if topic == "grades" else 1_500_000)
    try:
        with broker(directory / "kafka", quick=True) as kafka, progress_bars(console) as progress:
            session = Session(kafka.bootstrap, directory, console, progress, Sizes())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                cpu_us = runner.run(_run(session, topic, count, raw))
        with raw.open() as lines:
            show(console, shares(lines), cpu_us)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run(session: Session, topic: str, count: int, raw: Path) -> float:
    """Return the worker's CPU microseconds per event."""
    source = grade_events if topic == "grades" else firehose
    filled = await session.fill(topic, count, source(count))
    async with session.contender(GRADEWATCH, topic) as run:
        spy = (
            *(str(Path(sys.executable).parent / "py-spy"), "record", "--format", "raw", "--output", str(raw)),
            *("--rate", str(_SAMPLES_PER_SECOND), "--gil", "--threads", "--nonblocking", "--"),
        )
        with session.bar(f"profile: {topic}", count) as set_done:
            command = (*spy, *run.plan.command)
            with Processes([command], run.plan.env, run.folder / "log", wrapped=True) as processes:
                measured = await throughput(
                    run.cluster,
                    run.plan,
                    processes,
                    filled,
                    timeout_seconds=session.sizes.run_timeout_seconds,
                    progress=set_done,
                )
    session.console.print(
        f"{measured.events_per_second:,.0f} events/s while being looked at, "
        f"{measured.cpu_seconds_per_million:.1f} CPU µs per event"
    )
    return measured.cpu_seconds_per_million


def show(console: Console, found: Shares, cpu_us: float) -> None:
    """Print the functions that take most, in microseconds per event."""
    for title, counter in (
        ("Threads", found.by_thread),
        ("Functions, alone", found.own),
        ("Functions, with all that they call", found.with_callees),
    ):
        table = Table(title=title, title_justify="left")
        table.add_column("")
        table.add_column("µs per event", justify="right")
        table.add_column("share", justify="right")
        for name, samples in counter.most_common(_ROWS):
            share = samples / found.samples
            if counter is found.with_callees and share > _WAY_DOWN_SHARE:
                continue
            table.add_row(name, f"{cpu_us * share:.2f}", f"{100 * share:.1f} %")
        console.print(table)


if __name__ == "__main__":
    main()
