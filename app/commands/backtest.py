"""`gradewatch backtest`: what these rules would have said about recorded events."""

from __future__ import annotations

import csv
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.backtest.backtest import Backtest
from app.backtest.lines import STDIN, size_bytes
from app.backtest.report import WEEK_COLUMNS
from app.backtest.rulesets import RuleSet
from app.backtest.truth import read_labels
from app.cli import Moment, Positive, broker_timeout_seconds, console, load_settings, print_json, run
from app.rules import load_rules
from models.grades import ReadLimits
from tables.parameters import PARAMETERS

if TYPE_CHECKING:
    from app.backtest.feed import Progress
    from app.backtest.report import Report
    from app.settings import Settings

RAW_TOPIC = ""
"""What `--topic` without a name means: the raw topic of the settings."""

_rules_file = click.Path(path_type=Path, dir_okay=False)


@click.command(name="backtest")
@click.argument("files", nargs=-1, metavar="FILE…")
@click.option(
    "--rules", type=_rules_file, metavar="RULES", help="Rules to try.  [default: those of the settings]"
)
@click.option(
    "--compare", type=_rules_file, metavar="OTHER_RULES", help="Tell what other rules would add and remove."
)
@click.option(
    "--rule",
    "only",
    multiple=True,
    type=click.Choice(list(PARAMETERS)),
    metavar="NAME",
    help="Count the alerts of this rule only; may be given again.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Who truly declines, as `generate --labels` writes it: tells recall, precision and delay.",
)
@click.option(
    "--within",
    "within_days",
    type=Positive(),
    default=28.0,
    show_default=True,
    metavar="DAYS",
    help="How soon after its beginning an alert must come to have found a decline.",
)
@click.option(
    "--merge",
    is_flag=True,
    help="Read all files at once, merged by event time: for recordings of one partition each.",
)
@click.option(
    "--topic",
    is_flag=False,
    flag_value=RAW_TOPIC,
    metavar="[NAME]",
    help="Read a topic instead of files.  [default: the raw topic of the settings]",
)
@click.option(
    "--from", "since", type=Moment(), help="First time of the topic that is read, by Kafka's clock."
)
@click.option("--to", "until", type=Moment(), help="First time of the topic that is read no more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the alerts per rule and week as CSV.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one page with charts as well; it needs no other file and no network.",
)
@click.option(
    "--alerts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write every alert as well, as JSON lines, with the students' ids.",
)
@click.pass_context
def command(
    context: click.Context,
    files: tuple[str, ...],
    rules: Path | None,
    compare: Path | None,
    only: tuple[str, ...],
    labels: Path | None,
    within_days: float,
    merge: bool,
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
    alerts: Path | None,
) -> None:
    """Tell which alerts rules would have sent about recorded events, without sending any.

    FILE has raw Canvas events, one JSON object a line, plain or compressed with gzip; - is stdin. Files are
    read in the order given, and so are their lines: as in a worker, what comes after something newer of its
    kind is late and raises no alert. Lines that can't be read are counted by reason and stop nothing.

    Weeks are those of UTC, from Monday, and go by the time of the event. Except for --alerts no student is
    named anywhere.
    """
    _check_usage(files, topic, since, until, merge=merge, as_json=as_json, as_csv=as_csv)
    for option, path in (("--html", html), ("--alerts", alerts)):
        if path is not None and not path.parent.is_dir():  # better now than after the last event
            raise click.UsageError(f"{option}: there is no folder {path.parent}.")
    _check_outputs(html, alerts, read=[*map(Path, files), rules, compare, labels])
    settings = load_settings(context).settings
    rule_sets = _rule_sets(rules or settings.rules, compare)
    with ExitStack() as stack:
        sinks = []
        if alerts is not None:
            from app.backtest.alerts_file import AlertsFile

            sinks.append(stack.enter_context(AlertsFile.open(alerts, [one.name for one in rule_sets])))
        backtest = Backtest(
            rule_sets,
            only=only,
            declines=None if labels is None else read_labels(labels),
            within_days=within_days,
            sinks=sinks,
            limits=ReadLimits(settings.max_value_bytes, round(settings.max_future_seconds * 1000)),
        )
        _collect_garbage_less()
        if topic is None:
            _from_files(backtest, settings, files, merged=merge)
        else:
            _from_topic(backtest, settings, topic, since, until)
    _tell(backtest.report(), as_json=as_json, as_csv=as_csv, html=html)


def _check_usage(
    files: Sequence[str],
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    merge: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    for name in files:
        if name != STDIN and not Path(name).exists():
            raise click.UsageError(f"There is no file {name}.")
    if bool(files) == (topic is not None):
        raise click.UsageError("Give either files (- for stdin) or --topic.")
    if topic is None and (since or until):
        raise click.UsageError("--from and --to go with --topic only.")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from: must be before --to.")
    if topic is not None and merge:
        raise click.UsageError("--merge goes with files only: a topic's partitions always are merged.")
    if files.count(STDIN) > 1:
        raise click.UsageError("- can be given only once.")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")


def _check_outputs(html: Path | None, alerts: Path | None, *, read: Sequence[Path | None]) -> None:
    """Refuse to write over what is to be read, or twice over the same file."""
    being_read = {path.resolve() for path in read if path is not None}
    for option, path in (("--html", html), ("--alerts", alerts)):
        if path is not None and path.is_file() and path.resolve() in being_read:
            raise click.UsageError(f"{option}: {path} is to be read, not written over.")
    if html is not None and alerts is not None and html.resolve() == alerts.resolve():
        raise click.UsageError("--html and --alerts name the same file.")


def _rule_sets(rules: Path | None, compare: Path | None) -> list[RuleSet]:
    """Load the rules and those they are compared with, under their files' names."""
    same_name = rules is not None and compare is not None and rules.name == compare.name

    def load(path: Path) -> RuleSet:
        return RuleSet(str(path) if same_name else path.name, load_rules(path))

    first = RuleSet() if rules is None else load(rules)
    return [first] if compare is None else [first, load(compare)]


def _collect_garbage_less() -> None:
    """Look for cycles rarely, and hardly ever among all that is kept.

    A replay makes hardly any, Python looks every 700 objects by default, and to look through the states of
    all students costs a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)


def _from_files(backtest: Backtest, settings: Settings, files: Sequence[str], *, merged: bool) -> None:
    from app.backtest.feed import feed_files

    with _progress(backtest, size_bytes(files), in_bytes=True) as progress:
        feed_files(
            backtest, files, max_value_bytes=settings.max_value_bytes, merged=merged, progress=progress
        )


def _from_topic(
    backtest: Backtest, settings: Settings, topic: str, since: datetime | None, until: datetime | None
) -> None:
    from app.backtest.feed import feed_topic
    from app.logs import configure

    configure(settings.log_format, settings.log_level)
    with _progress(backtest, None, in_bytes=False) as progress:
        run(
            feed_topic(
                backtest,
                settings,
                topic or settings.topology().raw.name,
                since,
                until,
                timeout_seconds=broker_timeout_seconds(settings),
                progress=progress,
            )
        )


@contextmanager
def _progress(backtest: Backtest, total: int | None, *, in_bytes: bool) -> Iterator[Progress]:
    """Show a bar on stderr, where there is somebody to look at it."""
    if not sys.stderr.isatty():
        yield lambda _passed, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Replaying"),
        BarColumn(),
        *((DownloadColumn(),) if in_bytes else ()),
        TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, events=0, rate=0.0)

        def show(passed: int, found: int | None) -> None:
            seconds = max(1e-9, bar.tasks[0].elapsed or 0.0)
            events = backtest.events
            bar.update(
                task,
                completed=passed,
                total=total if found is None else found,
                events=events,
                rate=events / seconds,
            )

        yield show


def _tell(report: Report, *, as_json: bool, as_csv: bool, html: Path | None) -> None:
    if html is not None:
        from app.backtest.page import write_page

        write_page(report, html)
    if as_json:
        print_json(report.document())
    elif as_csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(WEEK_COLUMNS)
        rows.writerows(report.week_rows())
    else:
        from app.backtest.screen import show

        out = console()
        show(report, out)
        seconds, rate = report.seconds, report.events_per_second
        out.print(f"Took {seconds:.1f} s, {rate:,.0f} events a second.", style="dim")
