"""`gradewatch config check|show`: the settings as they are, and where each came from."""

from __future__ import annotations

from itertools import groupby

import click
from pydantic import SecretStr

from app.cli import HelpfulGroup, console, load_settings, print_json
from app.configuration import Loaded, SettingInfo, describe, show
from app.rules import load_rules

MASK = "********"


@click.group(name="config", cls=HelpfulGroup)
def command() -> None:
    """Show or check the settings."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Read all settings, the TLS and rules files included; exits with 2 and says why when one is wrong."""
    loaded = load_settings(context)
    loaded.settings.kafka_client_options()
    load_rules(loaded.settings.rules)
    if as_json:
        print_json({"ok": True, "warnings": list(loaded.warnings)})
    else:
        given = sum(source != "default" for source in loaded.sources.values())
        click.echo(f"The settings are right: {given} given, {len(loaded.sources) - given} by default.")


@command.command(name="show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def show_command(context: click.Context, as_json: bool) -> None:
    """List every setting with its environment name, value and origin; secrets are masked."""
    loaded = load_settings(context)
    if as_json:
        print_json({info.env: _document(info, loaded) for info in describe()})
    else:
        _print_table(loaded)


def _value(info: SettingInfo, loaded: Loaded) -> object:
    value = getattr(loaded.settings, info.name)
    return MASK if isinstance(value, SecretStr) else value


def _document(info: SettingInfo, loaded: Loaded) -> dict[str, object]:
    value = _value(info, loaded)
    return {
        "name": info.name,
        "value": value if isinstance(value, str | int | float | None) else str(value),
        "source": loaded.sources[info.name],
        "default": info.default or None,
        "unit": info.unit or None,
        "secret": info.secret,
        "description": info.description,
    }


def _print_table(loaded: Loaded) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("Setting", "Value", "Unit", "From"):
        table.add_column(heading, no_wrap=heading == "Setting", overflow="fold")
    for _, infos in groupby(describe(), key=lambda info: info.group):
        for info in infos:
            source = loaded.sources[info.name]
            table.add_row(
                Text(info.env),
                Text(show(_value(info, loaded))),
                info.unit,
                Text(source, "" if source == "default" else "bold"),
            )
        table.add_section()
    console().print(table)
