"""How a demo looks: alerts at a pace that can be read, a bar below them, tables at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from app.demo.report import SEVERITIES, report
from app.semester.options import WEEK_MS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from app.demo.figures import Figures
    from app.demo.folder import DemoFolder
    from app.demo.stage import Plan
    from app.semester.tally import Tally
    from app.settings import Settings
    from models.alerts import Alert

LINES_PER_SECOND: Final = 3.0
"""How many alerts a person can read as they come."""
_BURST_LINES: Final = 3.0
"""So many lines may come at once after a quiet second."""
_LEAST_LINES: Final = {"critical": -5.0, "warning": 1.0, "info": 2.5}
"""What must be left of the lines for an alert to be shown: the worse, the less, so that what is lost in a
burst are the ones that matter least."""

_COLUMNS: Final = (("When", 12), ("Severity", 8), ("Student", 7), ("Course", 6))
_INDENT: Final = "  "


class Pace:
    """Decides which alerts are shown when more come than can be read."""

    def __init__(self, now: float) -> None:
        self._lines = _BURST_LINES
        self._at = now

    def takes(self, severity: str, now: float) -> bool:
        """Tell whether an alert is shown; `now` in seconds on a clock that never goes back."""
        self._lines = min(_BURST_LINES, self._lines + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        if self._lines < _LEAST_LINES[severity]:
            return False
        self._lines -= 1
        return True


class Screen:
    """Shows a demo on a console: with a bar on a terminal, line by line elsewhere.

    With `only_bar` it shows nothing but the bar; the figures are somebody else's to print.
    """

    def __init__(self, console: Console, plan: Plan, *, only_bar: bool = False) -> None:
        self._console = console
        self._plan = plan
        self._options = plan.semester.options
        self._only_bar = only_bar
        self._pace = Pace(time.monotonic())
        self._seen = 0
        self._shown = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[events]:,} events, {task.fields[alerts]:,} alerts"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._student = "ROOT_ACCOUNT_UUID:USER_ID"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def starting(self) -> None:
        """Tell what is going to be shown."""
        size = self._plan.semester.size
        self._print(
            f"A semester of {self._options.weeks} weeks, {size.students:,} students in {size.courses:,} "
            f"courses, made up from seed {self._options.seed}.",
            style="bold",
        )

    # -- Audience -----------------------------------------------------------------------------------------

    def ready(self, settings: Settings, folder: DemoFolder, seconds: float) -> None:
        """Name what runs and open the list of alerts."""
        topics = len(settings.topology().all)
        self._print(
            f"Embedded broker at {settings.brokers} with {topics} topics, worker ready after "
            f"{seconds:.1f} s. What they keep is in {folder.path.name}/.\n"
        )
        self._print(_row([Text(title) for title, _ in _COLUMNS], Text("What happened")), style="bold")
        self._task = self._bar.add_task("", total=self._options.weeks, events=0, alerts=0)
        self._bar.start()

    def progress(self, sent: Tally, *, all_sent: bool) -> None:
        """Move the bar to the semester's time."""
        if self._task is None:
            return
        passed_ms = (sent.last_ms or self._options.since_ms) - self._options.since_ms
        week = min(self._options.weeks, passed_ms // WEEK_MS + 1)
        self._bar.update(
            self._task,
            description="Working off the rest" if all_sent else f"Week {week} of {self._options.weeks}",
            completed=self._options.weeks if all_sent else passed_ms / WEEK_MS,
            events=sent.events,
            alerts=self._seen,
        )

    def alerts(self, alerts: Sequence[Alert]) -> None:
        """Show as many alerts as can be read."""
        self._seen += len(alerts)
        if self._only_bar:
            return
        for alert in alerts:
            if alert.user_id is not None:
                self._student = alert.key.decode()
            if self._pace.takes(alert.severity, time.monotonic()):
                self._print(_line(alert))
                self._shown += 1

    def finished(self, figures: Figures, folder: DemoFolder) -> None:
        """Show the figures and where to look next."""
        self._bar.stop()
        if self._seen > self._shown:
            self._print(f"… and {self._seen - self._shown:,} more", style="dim")
        for part in report(figures, self._plan.events_per_second):
            self._print(part)
        here = folder.path.name
        self._print("\nWhere to look next", style="bold")
        self._print(
            _list(
                (f"{here}/{folder.alerts.name}", "every alert, as it was sent"),
                (f"{here}/{folder.worker_log.name}", "what the worker said"),
                (f"{program()} demo --stay", "the same, and then all of it stays up to be looked at"),
                ("README.md", "real use, step by step; the five files to read first"),
            )
        )

    def staying(self, settings: Settings) -> None:
        """Show what can be done from another terminal."""
        gradewatch = program()
        self._print("\nBroker and worker go on until Ctrl-C. Meanwhile, in another terminal", style="bold")
        for command in (
            f"export GRADEWATCH_BROKERS={settings.brokers}",
            f"{gradewatch} alerts tail --staff --from-beginning --limit 20",
            f"{gradewatch} scores show {self._student}",
            f"{gradewatch} generate --seed 2 --events 20000 --rate 1000",
            f"curl -s http://{settings.web_host}:{settings.web_port}/metrics",
        ):
            self._print(_INDENT + command)

    def _print(self, what: RenderableType = "", style: str | None = None) -> None:
        if self._only_bar:
            return
        if self._console.is_terminal:
            self._console.print(what, style=style)
            return
        with self._console.capture() as text:  # rich fills lines up to their tables' width
            self._console.print(what)
        for line in text.get().splitlines():
            click.echo(line.rstrip())


def program() -> str:
    """Return how `gradewatch` is called from here."""
    if shutil.which("gradewatch"):
        return "gradewatch"
    beside_python = Path(sys.executable).with_name("gradewatch")
    if beside_python.is_relative_to(Path.cwd()):
        return str(beside_python.relative_to(Path.cwd()))
    return str(beside_python)


def _row(cells: Sequence[Text], rest: Text) -> Table:
    row = Table.grid(padding=(0, 2, 0, 0))
    for _, width in _COLUMNS:
        row.add_column(width=width, no_wrap=True)
    row.add_column()
    row.add_row(*cells, rest)
    return row


def _line(alert: Alert) -> Table:
    """Return an alert as one line, its sentence folded where the terminal is narrow."""
    when = datetime.fromisoformat(alert.event_time)
    return _row(
        [
            Text(f"{when:%b %d %H:%M}", "dim"),
            Text(alert.severity, SEVERITIES[alert.severity]),
            Text(_short(alert.user_id)),
            Text(_short(alert.course_id)),
        ],
        Text(alert.message),
    )


def _short(number: str | None) -> str:
    """Return an id that fits its column: the last digits of one from another shard."""
    if number is None:
        return "-"
    return number if len(number) <= 7 else f"…{number[-6:]}"


def _list(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, what in rows:
        table.add_row(_INDENT + name, Text(what, "dim"))
    return table
