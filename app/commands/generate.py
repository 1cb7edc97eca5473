"""`gradewatch generate`: a synthetic Canvas semester, to a topic or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import Moment, Positive, broker_timeout_seconds, load_settings, run
from app.semester.options import DEFAULT_UNTIL, Options

if TYPE_CHECKING:
    from app.semester.semester import Semester
    from app.semester.sinks import PartitionBy
    from app.semester.tally import Tally


SHARE = click.FloatRange(0.0, 0.5)


@click.command(name="generate")
@click.option(
    "--out", metavar="FILE", help="Write lines to a file (.gz is compressed) or, with -, to stdout."
)
@click.option("--topic", metavar="NAME", help="Send to this topic.  [default: the raw topic of the settings]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another seed, another school."
)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop after N events; the school is sized for about so many.",
)
@click.option(
    "--students",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="[default: 200, or what --events needs]",
)
@click.option(
    "--courses", type=click.IntRange(1, 100_000), metavar="N", help="[default: classes of about 75]"
)
@click.option(
    "--weeks", type=click.IntRange(1, 104), default=16, show_default=True, help="Length of the semester."
)
@click.option(
    "--until",
    type=Moment(),
    default=DEFAULT_UNTIL.date().isoformat(),
    show_default=True,
    help="End of the semester, exclusive; UTC unless it has an offset.",
)
@click.option(
    "--other-share",
    type=click.FloatRange(0.0, 0.99),
    default=0.2,
    show_default=True,
    help="Share of events that are about no grade; about 0.9 is a school's firehose.",
)
@click.option(
    "--duplicates",
    type=SHARE,
    default=0.0,
    show_default=True,
    help="Share of events that repeat an earlier one.",
)
@click.option(
    "--disorder",
    type=click.FloatRange(0.0, 86_400.0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="One event in ten comes up to so late; 1200 is what HTTPS retries bring.",
)
@click.option(
    "--poison",
    type=SHARE,
    default=0.0,
    show_default=True,
    help="Share of messages that cannot be read, of every kind.",
)
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write who truly declines, where and from when on, as JSON lines.",
)
@click.option(
    "--partition-by",
    type=click.Choice(["random", "student"]),
    default="random",
    show_default=True,
    help="random, as bridges do; student puts each student's events on one partition. No message has a key.",
)
@click.option("--rate", type=Positive(0.001), metavar="N", help="Events per second at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document.")
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    out: str | None,
    topic: str | None,
    disorder: float,
    labels: Path | None,
    partition_by: PartitionBy,
    rate: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a synthetic Canvas semester: raw Live Events, made up, the same for the same seed and options.

    Students, teachers, assignments, quizzes, regrades, hidden scores and all that comes with them, and, on
    request, what goes wrong on the way. Without --out the events go to the raw topic, stamped with the time
    of sending.

    In a file an event is a line. Poison without a single byte, tombstones included, is an empty line there;
    no poison has a newline in it. Events that are poison for being of the future can only be told by a
    reader that knows when the message was sent.
    """
    if out is not None and topic is not None:
        raise click.UsageError("--out and --topic exclude each other.")
    if (
        out is not None
        and context.get_parameter_source("partition_by") is not click.core.ParameterSource.DEFAULT
    ):
        raise click.UsageError("--partition-by goes with a topic; a file has no partitions.")
    if labels is not None and not labels.parent.is_dir():  # better now than after the last event
        raise click.UsageError(f"--labels: there is no folder {labels.parent}.")
    if labels is not None and out is not None and labels.resolve() == Path(out).resolve():
        raise click.UsageError("--out and --labels name the same file.")
    try:
        asked = Options(disorder_seconds=disorder, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    from app.semester.semester import Semester

    semester = Semester(asked)
    with _progress(semester, hidden=out == "-" and sys.stdout.isatty()) as progress:
        if out is not None:
            tally = _to_file(semester, out, rate, progress)
            destination = "stdout" if out == "-" else out
        else:
            destination, tally = _to_topic(context, semester, topic, partition_by, rate, progress)
    if labels is not None:
        _write_labels(semester, labels, tally)
    _summarize(semester, tally, destination, as_json=as_json, to_stderr=out == "-")


def _to_file(semester: Semester, out: str, rate: float | None, progress: Callable[[Tally], None]) -> Tally:
    from app.semester.sinks import open_output, write_lines

    if out == "-":
        stdout = click.get_binary_stream("stdout")
        tally = write_lines(semester, stdout, rate, progress)
        stdout.flush()
        return tally
    with open_output(Path(out)) as file:
        return write_lines(semester, file, rate, progress)


def _to_topic(
    context: click.Context,
    semester: Semester,
    topic: str | None,
    partition_by: PartitionBy,
    rate: float | None,
    progress: Callable[[Tally], None],
) -> tuple[str, Tally]:
    from app.logs import configure
    from app.semester.sinks import write_topic

    settings = load_settings(context).settings
    configure(settings.log_format, settings.log_level)
    name = topic or settings.topology().raw.name
    ahead = semester.options.until - datetime.now(UTC)
    if ahead > timedelta(seconds=settings.max_future_seconds):
        click.echo(
            "Warning: the semester ends in the future; its last events will be dead letters (future_event).",
            err=True,
        )
    sent = write_topic(
        semester,
        settings,
        name,
        partition_by,
        rate,
        progress,
        timeout_seconds=broker_timeout_seconds(settings),
    )
    return name, run(sent)


def _write_labels(semester: Semester, path: Path, tally: Tally) -> None:
    import orjson

    from app.semester.sinks import open_output

    last_ms = tally.last_ms or semester.options.since_ms
    with open_output(path) as file:
        for label in semester.labels(before_ms=last_ms + 1):
            file.write(orjson.dumps(label) + b"\n")


@contextmanager
def _progress(semester: Semester, *, hidden: bool) -> Iterator[Callable[[Tally], None]]:
    """Show a bar on stderr while events are written, where there is somebody to look at it."""
    if hidden or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    options = semester.options
    columns = (
        TextColumn("Generating"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, events=0)

        def show(tally: Tally) -> None:
            length_ms = options.until_ms - options.since_ms
            done = ((tally.last_ms or options.since_ms) - options.since_ms) / length_ms
            if options.events is not None:
                done = max(done, tally.events / options.events)
            bar.update(task, completed=min(1.0, done), events=tally.events)

        yield show


def _summarize(semester: Semester, tally: Tally, destination: str, *, as_json: bool, to_stderr: bool) -> None:
    from app.semester.envelope import time_text

    summary: dict[str, Any] = {
        "destination": destination,
        "root_account_uuid": semester.school.root_account_uuid,
        "students": semester.size.students,
        "courses": semester.size.courses,
        "first_event_time": None if tally.first_ms is None else time_text(tally.first_ms),
        "last_event_time": None if tally.last_ms is None else time_text(tally.last_ms),
        "events": tally.events,
        "events_by_kind": dict(sorted(tally.kinds.items())),
        "repeats": tally.repeats,
        "poison_by_reason": dict(sorted(tally.poison.items())),
        "value_bytes": tally.value_bytes,
        "seconds": round(tally.seconds, 3),
        "events_per_second": round(tally.events / tally.seconds),
    }
    if as_json:
        import json

        click.echo(json.dumps(summary, indent=2), err=to_stderr)
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in tally.kinds.most_common())
    click.echo(
        f"{tally.events:,} events ({kinds or 'none'}) to {destination}: {tally.value_bytes / 1e6:,.1f} MB "
        f"in {tally.seconds:.1f} s, {tally.events / tally.seconds:,.0f}/s.\n"
        f"{semester.size.students:,} students in {semester.size.courses:,} courses of root account "
        f"{semester.school.root_account_uuid}, from {summary['first_event_time']} "
        f"to {summary['last_event_time']}"
        + (f"; {tally.repeats:,} of the events are repeats." if tally.repeats else "."),
        err=to_stderr,
    )


__all__ = ["command"]
