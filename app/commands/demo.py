"""`gradewatch demo`: all of it on this machine, within a minute, without Docker or Java."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli import INTERRUPTED, Positive, console, print_json, run
from app.errors import GradewatchError

if TYPE_CHECKING:
    from app.demo.figures import Figures


@click.command(name="demo")
@click.option(
    "--students",
    type=click.IntRange(1, 100_000),
    default=40,
    show_default=True,
    metavar="N",
    help="Size of the school; a student brings some 1,300 events.",
)
@click.option(
    "--rate",
    type=Positive(0.001),
    default=2_500,
    show_default=True,
    metavar="N",
    help="Events sent per second at most.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another seed, another school."
)
@click.option("--stay", is_flag=True, help="Keep broker and worker running until Ctrl-C, to look around.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the summary as one JSON document, and no alerts."
)
@click.pass_context
def command(context: click.Context, students: int, rate: float, seed: int, stay: bool, as_json: bool) -> None:
    """Show it all on this machine within a minute: broker, events, worker, alerts.

    Starts an embedded broker on a free port and a worker, sends a made-up semester, prints the alerts as they
    come, and ends with a summary when all of it is worked off. What is left is the folder gradewatch-demo,
    which the next demo replaces. Settings of yours are not used, so no cluster of yours is touched.

    Exits with 1 when something fails or the figures don't add up.
    """
    if context.find_root().meta.get("config_file") is not None:
        raise click.UsageError("--config doesn't go with the demo, which takes no settings.")
    if stay and as_json:
        raise click.UsageError("--stay and --json exclude each other.")
    try:
        figures = _perform(students=students, rate=rate, seed=seed, stay=stay, as_json=as_json)
    except KeyboardInterrupt:
        click.echo("Ended by Ctrl-C. Nothing is left running.", err=True)
        context.exit(INTERRUPTED)
    problems = list(figures.problems())
    if problems:
        raise GradewatchError("\n".join(["The figures of the demo don't add up.", *problems]))


def _perform(*, students: int, rate: float, seed: int, stay: bool, as_json: bool) -> Figures:
    from rich.console import Console

    from app.demo.folder import fresh_folder
    from app.demo.screen import Screen
    from app.demo.stage import perform, plan
    from app.embedded import find_binary
    from app.logs import configure

    configure("console", "warning")
    find_binary()  # before anything of an earlier demo is deleted
    planned = plan(students=students, seed=seed, events_per_second=rate)
    shown_on = Console(stderr=True) if as_json else console()
    with (
        fresh_folder(Path.cwd()) as folder,
        Screen(shown_on, planned, only_bar=as_json) as screen,
    ):
        screen.starting()
        figures = run(perform(planned, folder, screen, stay=stay))
    if as_json:
        print_json(figures.document())
    return figures
