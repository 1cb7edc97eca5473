"""What every command shares: the settings, errors as sentences, and output for people or for pipes."""

from __future__ import annotations

import asyncio
import difflib
import functools
import json
import math
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import click

from app.errors import GradewatchError

if TYPE_CHECKING:
    from rich.console import Console

    from app.configuration import Loaded
    from app.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

ONE_SHOT_BROKER_TIMEOUT_SECONDS = 10.0
"""Upper bound of what a person at a terminal is made to wait for a broker that does not answer."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it, of commands that it does not end as it should."""

PIPE_WIDTH = 200
"""Columns of a table that is not shown on a terminal: wide enough that nothing is cut."""


class ShowProgress(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, total: int, doing: str = ...) -> None:
        """Show how much of all is done and, where that changes, what is being done."""


class Sentence(click.ClickException):
    """Ends the program with `Error: …` on stderr, further lines below it, and an exit code."""

    def __init__(self, error: GradewatchError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code

    def show(self, file: Any = None) -> None:
        """Print the problems, one a line."""
        click.echo("Error: " + "\n       ".join(self.message.splitlines()), file=file, err=True)


class HelpfulGroup(click.Group):
    """A group that says which command may have been meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones are spelt alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx))
            if close:
                error.message += f" Did you mean {' or '.join(close)}?"
            raise


class Moment(click.ParamType):
    """A day or a time; in UTC unless it says otherwise."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an ISO 8601 text."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a day such as 2025-12-20 nor a time.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Positive(click.FloatRange):
    """A number above 0, and no infinite one."""

    def __init__(self, least: float | None = None) -> None:
        """Take the least number that is right, where not every one above 0 is."""
        super().__init__(min=least or 0, min_open=least is None)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number; click itself takes nan and inf for one."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def config_file_option() -> click.Option:
    """Return `--config FILE`, which goes before or after a command's name."""

    def remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.find_root().meta["config_file"] = value

    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=remember,
        help="Settings from a TOML file; the environment goes before it.",
    )


def load_settings(context: click.Context) -> Loaded:
    """Read the settings as the command line says, and tell on stderr what was ignored."""
    from app.configuration import load

    loaded = load(context.find_root().meta.get("config_file"))
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return loaded


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings to a command as its first argument, logging set up as they say."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from app.logs import configure

        settings = load_settings(click.get_current_context()).settings
        configure(settings.log_format, settings.log_level)
        return command(settings, *args, **kwargs)

    return wrapped


def broker_timeout_seconds(settings: Settings) -> float:
    """Return how long a command that a person waits for tries to reach a broker."""
    return min(ONE_SHOT_BROKER_TIMEOUT_SECONDS, settings.broker_timeout_seconds)


def run(main: Coroutine[Any, Any, R]) -> R:
    """Run a command's coroutine; Ctrl-C cancels it and is raised as KeyboardInterrupt, a second one at once.

    asyncio itself cancels inside the signal's handler, between any two bytecodes: a library that has just
    seen that a future isn't done may find it cancelled, and print a traceback.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return asyncio.run(main)
    interrupted = False

    async def cancelled_between_steps() -> R:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted or task is None:
                raise KeyboardInterrupt
            interrupted = True
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        return await main

    try:
        return asyncio.run(cancelled_between_steps())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise


def console() -> Console:
    """Return a console on stdout: coloured on a terminal, plain and wide in a pipe."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a locale may lack the characters that tables are made of
    return Console(
        width=None if terminal else PIPE_WIDTH, highlight=False, color_system="auto" if terminal else None
    )


@contextmanager
def progress_bar(what: str) -> Iterator[ShowProgress]:
    """Show a bar on stderr, where there is somebody to look at it, and give what moves it."""
    from rich.console import Console
    from rich.progress import Progress

    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int, doing: str = what) -> None:
            bar.update(task, completed=done, total=total, description=doing)

        yield show


def print_json(value: object) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def version() -> str:
    """Return the version that is installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("gradewatch")
    except PackageNotFoundError:
        return "0+uninstalled"
