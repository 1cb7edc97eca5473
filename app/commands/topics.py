"""`gradewatch topics create|check`: the topics as they must be, and whether they are."""

from __future__ import annotations

import click

from agents.topology import TopicSpec
from app.cli import broker_timeout_seconds, console, print_json, run, with_settings
from app.errors import TopicsError
from app.settings import Settings
from app.topics import Report, Severity, check_topics, create_topics, explain, show_retention


@click.group(name="topics")
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
