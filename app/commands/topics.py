"""`gradewatch topics create|check`: the topics as they must be, and whether they are."""

from __future__ import annotations

import click

from agents.topology import TopicSpec
from app.cli import (
    HelpfulGroup,
    broker_timeout_seconds,
    console,
    print_json,
    progress_bar,
    run,
    with_settings,
)
from app.errors import TopicsError
from app.settings import Settings
from app.topics import Report, Severity, check_topics, create_topics, explain, show_retention


@click.group(name="topics", cls=HelpfulGroup)
def command() -> None:
    """Create or check the topics of this deployment."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@command.command()
@json_option
@with_settings
def create(settings: Settings, as_json: bool) -> None:
    """Create the topics that are missing; what is there already is never changed.

    Exits with 1, and creates nothing, when an existing topic is one that a worker would refuse.
    """
    _show(run(create_topics(settings, broker_timeout_seconds(settings))), as_json=as_json)


@command.command()
@json_option
@with_settings
def check(settings: Settings, as_json: bool) -> None:
    """Compare the topics with what a worker needs; exits with 1 when it would refuse to start."""
    _show(run(check_topics(settings, broker_timeout_seconds(settings))), as_json=as_json)


@command.command()
@click.option(
    "--from-app-id", required=True, metavar="NAME", help="GRADEWATCH_APP_ID of the deployment to take over."
)
@click.option(
    "--from-prefix",
    default="",
    metavar="PREFIX",
    help="GRADEWATCH_TOPIC_PREFIX of the deployment to take over.  [default: none]",
)
@json_option
@with_settings
def repartition(settings: Settings, from_app_id: str, from_prefix: str, as_json: bool) -> None:
    """Take over another deployment's state into topics with another number of partitions.

    The settings are those of the new deployment: GRADEWATCH_PARTITIONS as it is to be, a new
    GRADEWATCH_APP_ID and a new GRADEWATCH_TOPIC_PREFIX, and GRADEWATCH_RAW_TOPIC the raw topic of the old
    one, whose workers must have been stopped. Its topics are left as they are.
    """
    from app.repartition import repartition as take_over

    with progress_bar("Copying") as bar:
        copied = run(
            take_over(
                settings,
                from_app_id=from_app_id,
                from_prefix=from_prefix,
                timeout_seconds=broker_timeout_seconds(settings),
                progress=lambda topic, done, total: bar(done, total, f"Copying {topic}"),
            )
        )
    if as_json:
        print_json([each._asdict() for each in copied])
        return
    for each in copied:
        click.echo(f"{each.messages:,} messages from {each.source} to {each.target}.")
    click.echo("Now start workers with these settings, and let subscribers read the new topics.")


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(report))
    else:
        _print_table(report)
        warnings = [problem for problem in report.problems if problem.severity is Severity.WARNING]
        if warnings:
            click.echo("Warning: " + explain(warnings).replace("\n", "\n         "), err=True)
    if report.failures:
        raise TopicsError(explain(report.failures))


def _state(report: Report, spec: TopicSpec) -> str:
    if spec.name not in report.found:
        return "missing"
    if spec.name in report.created:
        return "created"
    severities = {problem.severity for problem in report.problems if problem.topic == spec.name}
    if Severity.FAILURE in severities:
        return "wrong"
    return "differs" if severities else "ok"


_STYLES = {"missing": "red", "wrong": "red", "differs": "yellow", "created": "green", "ok": "green"}


def _print_table(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("Topic", "Partitions", "Clean-up", "Kept", "State"):
        table.add_column(heading, no_wrap=heading == "Topic", overflow="fold")
    for spec in report.topology.all:
        found = report.found.get(spec.name)
        state = _state(report, spec)
        table.add_row(
            spec.name,
            str(found.partitions if found else spec.partitions),
            spec.cleanup_policy,
            "newest per key" if spec.retention_ms is None else show_retention(spec.retention_ms),
            Text(state, _STYLES[state]),
        )
    console().print(table)


def _document(report: Report) -> object:
    return {
        "ok": not report.failures,
        "topics": [
            {
                "name": spec.name,
                "state": _state(report, spec),
                "partitions": {
                    "needed": spec.partitions if spec.partitions_fixed else None,
                    "found": report.found[spec.name].partitions if spec.name in report.found else None,
                },
                "config": {
                    "needed": spec.config(),
                    "found": dict(report.found[spec.name].config) if spec.name in report.found else None,
                },
                "problems": [
                    {"severity": problem.severity, "sentence": problem.sentence, "remedy": problem.remedy}
                    for problem in report.problems
                    if problem.topic == spec.name
                ],
            }
            for spec in report.topology.all
        ],
    }
