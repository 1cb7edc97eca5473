"""`gradewatch rules check|show`: whether a rules file is right, and which rules apply where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from app.cli import HelpfulGroup, load_settings, print_json
from app.rules import RulesError, load_rules
from tables.parameters import as_written
from tables.rulebook import Rulebook
from tables.rulesfile import Place, dotted


@click.group(name="rules", cls=HelpfulGroup)
def command() -> None:
    """Check a rules file, or show the rules."""


rules_file = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)


@command.command()
@click.argument("file", type=rules_file)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, file: Path, as_json: bool) -> None:
    """Read a rules FILE; prints every mistake with its line, and exits with 1, when there are any."""
    try:
        book = load_rules(file)
    except RulesError as error:
        if as_json:
            mistakes = [{"file": str(file), **mistake._asdict()} for mistake in error.mistakes]
            print_json({"ok": False, "mistakes": mistakes})
        else:
            click.echo(str(error))
        context.exit(1)
    if as_json:
        print_json({"ok": True, "hash": book.digest, "mistakes": []})
    else:
        click.echo(f"{file} is right; the rules are {book.digest}.")


@command.command()
@click.argument("file", type=rules_file, required=False)
@click.option("--account", metavar="UUID", help="Show what applies to a root account.")
@click.option("--course", metavar="ID", help="Show what applies to a course of the account.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def show(
    context: click.Context, file: Path | None, account: str | None, course: str | None, as_json: bool
) -> None:
    """Print the rules in FILE, else in GRADEWATCH_RULES, else those built in, as a file with every parameter.

    What accounts and courses have of their own follows, unless --account asks what applies there.
    """
    if course is not None and account is None:
        raise click.UsageError("--course needs --account: a course id means something in its account only.")
    source = file or load_settings(context).settings.rules
    book = load_rules(source)
    rules = book.default if account is None else book.for_course(account, course)
    own = _own(book) if account is None else {}
    if as_json:
        print_json(
            {
                "file": None if source is None else str(source),
                "hash": book.digest,
                "account": account,
                "course": course,
                "rules": _as_written(rules.model_dump()),
                **({"accounts": own} if account is None else {}),
            }
        )
        return
    click.echo(f"# Rules {book.digest}, {'built in' if source is None else f'of {source}'}.")
    if account is not None:
        click.echo(f"# As they apply to {'' if course is None else f'course {course} of '}account {account}.")
    for line in (*_toml(_as_written(rules.model_dump())), *_toml_of_accounts(own)):
        click.echo(line)


def _as_written(by_rule: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        rule: {name: as_written(rule, name, value) for name, value in parameters.items()}
        for rule, parameters in by_rule.items()
    }


def _own(book: Rulebook) -> dict[str, Any]:
    """Return what accounts and courses have of their own, as it is written."""
    own: dict[str, Any] = {}
    for uuid, account in book.changes().items():
        courses = account.pop("courses", {})
        own[uuid] = _as_written(account)
        if courses:
            own[uuid]["courses"] = {id_: _as_written(course) for id_, course in courses.items()}
    return own


def _toml(by_rule: Mapping[str, Mapping[str, Any]], at: Place = ()) -> Iterator[str]:
    for rule, parameters in by_rule.items():
        yield ""
        yield f"[{dotted((*at, rule))}]"
        for name, value in parameters.items():
            yield f"{name} = {json.dumps(value)}"


def _toml_of_accounts(accounts: Mapping[str, Any]) -> Iterator[str]:
    for uuid, account in accounts.items():
        yield from _toml(
            {name: own for name, own in account.items() if name != "courses"}, ("accounts", uuid)
        )
        for id_, course in account.get("courses", {}).items():
            yield from _toml(course, ("accounts", uuid, "courses", id_))
