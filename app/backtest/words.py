"""A report's figures as words and cells of tables, the same for terminal and page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from app.backtest.report import ALL, STATUSES, Report, RulesReport
from app.backtest.tally import CourseNoise

NONE: Final = "-"

RULES_HEADINGS: Final = ("rule", *STATUSES, "of these critical", "students", "per 100 students and week")
COMPARISON_HEADINGS: Final = ("rule", "same", "added", "removed", "severity changed")
ACCURACY_HEADINGS: Final = (
    "rule",
    "recall",
    "precision",
    "precision, students in courses",
    "days to the first alert, median",
    "p90",
    "false alerts",
    "false per 100 students and week",
)


def sentences(report: Report) -> Iterator[str]:
    """Yield what was read."""
    counts = report.counts
    unreadable = f" ({listed(counts.rejected)})" if counts.rejected else ""
    yield (
        f"{counts.events:,} events: {counts.records.total():,} about grades, {counts.ignored:,} about "
        f"something else, {counts.rejected.total():,} unreadable{unreadable}."
    )
    if not report.students:
        yield "There is no grade event among them, so nothing to judge."
        return
    days = sorted(counts.days)
    yield (
        f"{number(report.students, 'student')} in {number(len(counts.courses), 'course')}, "
        f"{number(len(report.weeks), 'week')} from {days[0]} to {days[-1]} (UTC)."
    )
    if counts.duplicates or counts.late:
        yield (
            f"{counts.duplicates:,} grade events were there already, and {counts.late:,} came after a newer "
            "one of their kind, so no rule judged them."
        )
    if counts.late > counts.records.total() / 50:
        yield (
            "Warning: so many come late that alerts are missing. Give the files in the order of time, or "
            "--merge those of which each is in order by itself."
        )


def rule_rows(report: Report, of_set: RulesReport) -> Iterator[list[str]]:
    """Yield a row for each rule, and at last one for all."""
    tally = of_set.tally
    for rule in (*of_set.rules, ALL):
        of_row = of_set.rules if rule == ALL else (rule,)
        yield [
            rule,
            *(count(sum(tally.statuses[each, status] for each in of_row)) for status in STATUSES),
            count(sum(tally.severities[each, "critical"] for each in of_row)),
            count(tally.students(None if rule == ALL else rule)),
            decimal(report.rate(sum(tally.raised(each) for each in of_row))),
        ]


def comparison_rows(report: Report) -> Iterator[list[str]]:
    """Yield a row for each rule and status that the second rules change, and at last one for all."""
    compared = report.comparison
    if compared is None:
        return
    columns = (compared.same, compared.added, compared.removed, compared.other_severity)
    for rule in dict.fromkeys(rule for of_set in report.sets for rule in of_set.rules):
        for status in STATUSES:
            if any(column[rule, status] for column in columns[1:]):
                yield [f"{rule} {status}", *(count(column[rule, status]) for column in columns)]
    yield [ALL, *(count(column.total()) for column in columns)]


def accuracy_rows(report: Report, of_set: RulesReport) -> Iterator[list[str]]:
    """Yield a row for each rule, and at last one for all."""
    for rule, accuracy in of_set.accuracy.items():
        yield [
            rule,
            percent(accuracy.recall),
            percent(accuracy.precision),
            percent(accuracy.precision_of_student_courses),
            decimal(accuracy.median_delay_days, 1),
            decimal(accuracy.p90_delay_days, 1),
            count(accuracy.false),
            decimal(report.rate(accuracy.false)),
        ]


def course_name(report: Report, noise: CourseNoise) -> str:
    """Return a course's id, with its root account where there are several."""
    several = len({root_account_uuid for root_account_uuid, _ in report.counts.courses}) > 1
    return f"{noise.root_account_uuid}:{noise.course_id}" if several else noise.course_id


def listed(counts: Counter[str]) -> str:
    """Return counts in a line, the greatest first."""
    return ", ".join(f"{name} {times:,}" for name, times in counts.most_common())


def number(how_many: int, what: str) -> str:
    """Return a number of things."""
    return f"{how_many:,} {what}" if how_many == 1 else f"{how_many:,} {what}s"


def count(how_many: int) -> str:
    """Return a count; nothing is a dash, so that it doesn't catch the eye."""
    return f"{how_many:,}" if how_many else NONE


def decimal(value: float | None, places: int = 2) -> str:
    """Return a number with so many decimals."""
    return NONE if value is None else f"{value:.{places}f}"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return NONE if share is None else f"{100 * share:.0f} %"
