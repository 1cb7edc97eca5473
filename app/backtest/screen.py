"""The report for people: sentences, tables and a histogram on a terminal, plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.backtest.report import ALL, Report, RulesReport
from app.backtest.words import (
    ACCURACY_HEADINGS,
    COMPARISON_HEADINGS,
    RULES_HEADINGS,
    accuracy_rows,
    comparison_rows,
    count,
    course_name,
    listed,
    rule_rows,
    sentences,
)
from tables.figures import as_text, duration_text

if TYPE_CHECKING:
    from rich.console import Console

_BAR_CELLS: Final = 40
_HEADING_CELLS: Final = 14


def show(report: Report, out: Console) -> None:
    """Print a report."""
    for sentence in sentences(report):
        out.print(sentence, soft_wrap=True, style="yellow" if sentence.startswith("Warning") else None)
    if not report.students:
        return
    for of_set in report.sets:
        title = f"Alerts by {of_set.rule_set.name}"
        out.print(_table(title, RULES_HEADINGS, rule_rows(report, of_set)))
    if report.comparison is not None:
        first, second = (of_set.rule_set.name for of_set in report.sets)
        title = f"What {second} adds to {first}, and removes"
        out.print(_table(title, COMPARISON_HEADINGS, comparison_rows(report)))
    out.print(_weeks(report))
    if report.sets[0].tally.courses:
        out.print(_noisiest(report))
    out.print(_depths(report))
    for of_set in report.sets:
        if of_set.accuracy:
            title = _accuracy_title(of_set)
            out.print(_table(title, ACCURACY_HEADINGS, accuracy_rows(report, of_set)))


def _accuracy_title(of_set: RulesReport) -> str:
    return (
        f"{of_set.rule_set.name} against the labels: {of_set.accuracy[ALL].declines:,} true declines, to be "
        f"found within {of_set.within_days:g} days"
    )


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column(headings[0], no_wrap=True, vertical="bottom")
    for heading in headings[1:]:
        table.add_column(_wrapped(heading), justify="right", vertical="bottom")
    for row in rows:
        if row[0] == ALL:
            table.add_section()
        table.add_row(*row)
    return table


def _wrapped(heading: str) -> str:
    """Return a heading on several lines, so that it is not wider than what is below it."""
    lines = [""]
    for word in heading.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _HEADING_CELLS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _weeks(report: Report) -> Table:
    names = dict.fromkeys(rule for of_set in report.sets for rule in of_set.rules)
    rules = [rule for rule in names if any(of_set.tally.raised(rule) for of_set in report.sets)]
    title = "Opened or escalated per week"
    if report.comparison is not None:
        title += f" ({' / '.join(of_set.rule_set.name for of_set in report.sets)})"
    table = _table(title, ("Monday", *(rule.replace("_", " ") for rule in rules), ALL))
    for week in report.shown_weeks:
        counts = [[of_set.tally.raised_in(week, rule) for of_set in report.sets] for rule in rules]
        counts.append([sum(each[place] for each in counts) for place in range(len(report.sets))])
        table.add_row(week, *(" / ".join(map(count, cell)) for cell in counts))
    return table


def _noisiest(report: Report) -> Table:
    table = _table("Courses with the most alerts", ("course", "alerts", "students"))
    table.add_column("rules")
    for noise in report.noisiest():
        table.add_row(
            course_name(report, noise), count(noise.alerts), count(noise.students), listed(noise.rules)
        )
    return table


def _depths(report: Report) -> Table:
    """Return a histogram."""
    with_labels = report.labels is not None
    table = _table(
        f"Students in courses by their deepest drop within {duration_text(report.depth_window_ms)}",
        ("points", "count", *(("truly declining",) if with_labels else ())),
    )
    table.add_column("")
    most = max(1, *(each.declining + each.others for each in report.depths))
    for each in report.depths:
        bar = Text()
        for how_many, style in ((each.declining, "red"), (each.others, "blue")):
            bar.append("█" * round(_BAR_CELLS * how_many / most), style)
        least = as_text(each.least)
        table.add_row(
            f"{least} or more" if each.below is None else f"{least} to {as_text(each.below)}",
            count(each.declining + each.others),
            *((count(each.declining),) if with_labels else ()),
            bar,
        )
    return table
