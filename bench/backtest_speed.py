"""`python -m bench.backtest_speed`: time and memory of backtests on a million events; `make backtest-speed`.

Each recording is generated, replayed by a `gradewatch backtest` of its own, and deleted. Writes the figures
between the marks of docs/rules-backtest.md.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from bench.rules_report import write

EVENTS: Final = 1_000_000
MIXES: Final = (
    (0.9, "a school's firehose, 10 % about grades"),
    (0.8, "20 % about grades"),
    (0.2, "as `generate` makes them, 80 % about grades"),
    (0.0, "grades only"),
)
GRADEWATCH: Final = (sys.executable, "-m", "app.main")


@dataclass(frozen=True)
class Run:
    """One backtest."""

    what: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    found: dict[str, Any]

    def row(self) -> str:
        events = self.found["events"]
        return (
            f"| {self.what} | {self.found['events_by_outcome']['record']:,} | {self.found['students']:,} "
            f"| {self.found['student_courses']:,} | {self.found['alerts']:,} | {self.seconds:.1f} s "
            f"| {events / self.cpu_seconds:,.0f} | {self.peak_bytes / 2**20:,.0f} MiB |"
        )


def measure(what: str, file: Path) -> Run:
    """Run a backtest as a process of its own, from its start to its end."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        child = subprocess.Popen([*GRADEWATCH, "backtest", str(file), "--json"], stdout=output)  # noqa: S603
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"gradewatch backtest failed with {child.returncode}")
        output.seek(0)
        found = orjson.loads(output.read())
    kibibytes = 1 if platform.system() == "Darwin" else 1024
    return Run(what, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kibibytes, found)


def table(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "| Events | About grades | Students | In courses | Alerts | Time "
        "| Events per second of processor time | Memory at most |"
    )
    yield "| --- " * 8 + "|"
    for run in runs:
        yield run.row()
    yield ""
    yield (
        f"Python {platform.python_version()} on {os.cpu_count()} processors, on which at the end "
        f"{os.getloadavg()[0]:.1f} processes wanted to run; the more, the slower each."
    )


def main() -> None:
    console = Console(stderr=True)
    runs = []
    for other_share, what in MIXES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "events.jsonl"
            console.print(f"Generating {EVENTS:,} events: {what}")
            options = ["--events", str(EVENTS), "--other-share", str(other_share), "--out", str(file)]
            subprocess.run([*GRADEWATCH, "generate", *options], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            runs.append(measure(what, file))
            console.print(runs[-1].row())
    write({"speed": table(runs)})


if __name__ == "__main__":
    main()
