"""`gradewatch dead-letters list|show|replay`: what could not be read, and a second try for it."""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from app.cli import (
    HelpfulGroup,
    Moment,
    broker_timeout_seconds,
    console,
    print_json,
    progress_bar,
    run,
    with_settings,
)
from app.dead_letters import Letter, Position, Wanted, archive
from app.letters_shown import document, lines, origin, printable, size, summary
from app.settings import Settings
from models.grades import Reason

if TYPE_CHECKING:
    from app.replay import Outcome

DEFAULT_LIMIT: Final = 100
NONE: Final = "-"
"""Stands for what is not there."""


class PositionType(click.ParamType):
    """Where a dead letter lies: `PARTITION:OFFSET`."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Position:
        """Take the text apart."""
        if isinstance(value, Position):
            return value
        try:
            return Position.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class OffsetsType(click.ParamType):
    """A range of offsets: `17`, `17-20`, `17-` or `-20`, both ends inclusive."""

    name = "offsets"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        """Take the text apart."""
        if isinstance(value, tuple):
            return value
        first, dash, last = value.partition("-")
        if not all(part.isascii() and part.isdecimal() for part in (first, last) if part) or not first + last:
            self.fail(f"{value!r} is no range of offsets, such as 17, 17-20, 17- or -20.", param, ctx)
        begin = int(first) if first else None
        end = int(last) if last else None if dash else begin
        if begin is not None and end is not None and end < begin:
            self.fail(f"{value!r} ends before it begins.", param, ctx)
        return begin, end


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which dead letters are asked for."""
    for option in reversed(
        [
            click.option(
                "--reason",
                "reasons",
                multiple=True,
                type=click.Choice([reason.value for reason in Reason]),
                metavar="REASON",
                help=f"Only those with this reason; may be given again. One of {', '.join(Reason)}.",
            ),
            click.option("--since", type=Moment(), help="Only those written to the topic from then on."),
            click.option("--until", type=Moment(), help="Only those written to the topic before."),
            click.option("--raw-topic", metavar="NAME", help="Only those that came from this topic."),
            click.option(
                "--raw-partition",
                type=click.IntRange(min=0),
                metavar="N",
                help="Only those that came from this partition.",
            ),
            click.option(
                "--raw-offsets",
                type=OffsetsType(),
                metavar="FROM-TO",
                help="Only those that had these offsets there, both ends included.",
            ),
        ]
    ):
        command = option(command)
    return command


def _wanted(
    *,
    reasons: Sequence[str],
    raw_offsets: tuple[int | None, int | None] | None,
    positions: Sequence[Position] = (),
    **options: Any,
) -> Wanted:
    raw_from, raw_to = raw_offsets or (None, None)
    return Wanted(
        positions=frozenset(positions),
        reasons=frozenset(reasons),
        raw_from=raw_from,
        raw_to=raw_to,
        **options,
    )


@click.group(name="dead-letters", cls=HelpfulGroup)
def command() -> None:
    """Look at messages that could not be read, and send them to the raw topic again."""


# -- list --------------------------------------------------------------------------------------------------


@command.command(name="list")
@_filters
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show the newest N of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@with_settings
def list_(settings: Settings, /, limit: int, as_json: bool, **options: Any) -> None:
    """List dead letters, the oldest first: where, when, why, and where they came from.

    Nothing of the messages themselves is shown.
    """
    newest: deque[dict[str, Any]] = deque(maxlen=min(limit, sys.maxsize))
    reasons: Counter[str] = Counter()

    async def read() -> None:
        with progress_bar("Reading") as progress:
            async with (
                archive(settings, broker_timeout_seconds(settings)) as letters,
                aclosing(letters.read(_wanted(**options), progress)) as found,
            ):
                async for letter in found:
                    reasons[letter.failure.reason] += 1
                    newest.append(summary(letter))

    run(read())
    if as_json:
        for each in newest:
            click.echo(json.dumps(each, ensure_ascii=False))
    else:
        _print_list(newest, reasons)


def _print_list(newest: Collection[dict[str, Any]], reasons: Counter[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not newest:
        click.echo("No dead letters.")
        return
    table = Table()
    for heading in ("Position", "Written (UTC)", "Reason", "Detail", "Came from", "Bytes"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "Bytes" else "left")
    for each in newest:
        cells = (
            each["position"],
            each["written_at"][:19].replace("T", " "),
            each["reason"],
            each["detail"] or NONE,
            origin(each),
            size(each),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)
    counts = ", ".join(f"{count:,} {printable(reason)}" for reason, count in reasons.most_common())
    total = reasons.total()
    click.echo(
        f"{total:,} dead letter{'' if total == 1 else 's'}: {counts}."
        + (f" The newest {len(newest):,} are shown; --limit shows more." if len(newest) < total else "")
    )


# -- show --------------------------------------------------------------------------------------------------


@command.command()
@click.argument("position", type=PositionType(), metavar="PARTITION:OFFSET")
@click.option(
    "--value",
    "with_value",
    is_flag=True,
    help="Print key and value as well: all that Canvas sent, personal data included.",
)
@click.option(
    "--out",
    type=click.File("wb", lazy=True),
    metavar="FILE",
    help="Write the value to a file (- for stdout), byte for byte; personal data included.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@with_settings
def show(
    settings: Settings, position: Position, with_value: bool, out: BinaryIO | None, as_json: bool
) -> None:
    """Print a dead letter: why it is one, where it came from, and its headers.

    Its key and value stand as the bridge wrote them and may name people, so they are printed only with
    --value. Characters that could steer a terminal are printed as escapes; --out gives the bytes.
    """

    async def read() -> Letter:
        async with archive(settings, broker_timeout_seconds(settings)) as letters:
            return await letters.letter_at(position)

    letter = run(read())
    if out is not None:
        out.write(letter.value or b"")
        return
    if as_json:
        print_json(document(letter, with_value=with_value))
    else:
        for text in lines(letter, with_value=with_value):
            click.echo(text)


# -- replay ------------------------------------------------------------------------------------------------


@command.command()
@click.argument("positions", nargs=-1, type=PositionType(), metavar="[PARTITION:OFFSET]...")
@_filters
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Replay N of them at most, the oldest ones."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be replayed; write nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@with_settings
def replay(
    settings: Settings,
    /,
    positions: Sequence[Position],
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Send dead letters to the raw topic again, as they came; all that is there when it starts, or some.

    To be done when what kept them from being read is mended. Nothing is taken from the dead letters. What
    was replayed before does no harm a second time; what still can't be read becomes a new dead letter, and
    the same message is sent only once in a replay however often it is there.

    The messages get the time of the replay, so what came from the future may be read now. Those of which only
    the beginning was kept are left out.
    """
    wanted = _wanted(positions=positions, **options)
    outcome = run(_replay(settings, wanted, limit, dry_run=dry_run, ask=not yes))
    raw, topic = settings.topology().raw.name, settings.topology().dead_letters.name
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "from": topic,
                "to": raw,
                "replayed": outcome.replayed.total(),
                "replayed_by_reason": dict(outcome.replayed),
                "skipped": {kind.name.lower(): count for kind, count in outcome.skipped.items()},
            }
        )
        return
    click.echo(_sentence("Would be replayed" if dry_run else "Replayed", outcome, raw))
    for kind, count in outcome.skipped.items():
        click.echo(f"Left out: {count:,}, because {kind}.")


async def _replay(
    settings: Settings, wanted: Wanted, limit: int | None, *, dry_run: bool, ask: bool
) -> Outcome:
    from app.replay import plan, replay

    timeout_seconds = broker_timeout_seconds(settings)
    async with archive(settings, timeout_seconds) as letters:
        for position in wanted.positions:
            letters.look_for(position)
        if dry_run or ask:
            with progress_bar("Looking") as progress:
                planned = await plan(settings, letters, wanted, limit, progress)
            if dry_run or not planned.replayed:
                return planned
            click.echo(_sentence("To be replayed", planned, settings.topology().raw.name), err=True)
            click.confirm("Replay them?", abort=True, err=True)
        with progress_bar("Replaying") as progress:
            return await replay(settings, letters, wanted, limit, progress, timeout_seconds=timeout_seconds)


def _sentence(what: str, outcome: Outcome, raw: str) -> str:
    counts = ", ".join(f"{count:,} {printable(reason)}" for reason, count in outcome.replayed.most_common())
    return f"{what}: {outcome.replayed.total():,} to {raw}" + (f" ({counts})." if counts else ".")
