"""`gradewatch alerts tail`: alerts as they are sent."""

from __future__ import annotations

import sys
from contextlib import aclosing, suppress

import click

from app.alerts import alert_partitions, follow, heading, line
from app.cli import HelpfulGroup, broker_timeout_seconds, console, run, with_settings
from app.settings import Settings
from models.alerts import encode_alert


@click.group(name="alerts", cls=HelpfulGroup)
def command() -> None:
    """Follow the alerts."""


@command.command()
@click.option("--staff", is_flag=True, help="Include what students may not see.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest alert that is kept.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after N alerts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@with_settings
def tail(settings: Settings, staff: bool, from_beginning: bool, limit: int | None, as_json: bool) -> None:
    """Print alerts as they are sent, until Ctrl-C."""
    with suppress(KeyboardInterrupt):  # how one ends it
        run(_tail(settings, staff=staff, from_beginning=from_beginning, limit=limit, as_json=as_json))


async def _tail(
    settings: Settings, *, staff: bool, from_beginning: bool, limit: int | None, as_json: bool
) -> None:
    out = console()
    timeout_seconds = broker_timeout_seconds(settings)
    partitions = await alert_partitions(settings, staff=staff, timeout_seconds=timeout_seconds)
    if not as_json:
        out.print(heading())
    alerts = follow(settings, partitions, from_beginning=from_beginning, timeout_seconds=timeout_seconds)
    shown = 0
    async with aclosing(alerts):
        async for alert in alerts:
            if as_json:
                click.echo(encode_alert(alert))
            else:
                out.print(line(alert), soft_wrap=not sys.stdout.isatty())
            shown += 1
            if shown == limit:
                return
