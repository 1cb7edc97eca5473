"""The figures of a demo as tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.demo.figures import OUTCOMES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from app.demo.figures import Figures

SEVERITIES: Final[Mapping[str, str]] = MappingProxyType(
    {"critical": "bold red", "warning": "yellow", "info": "green"}
)
"""From the worst, with their colours."""


def report(figures: Figures, sent_per_second: float) -> Iterator[RenderableType]:
    """Yield what is shown of the figures, from top to bottom; no more than `sent_per_second` were sent."""
    yield _outcomes(figures)
    yield _alerts(figures)
    for sentence in _sentences(figures, sent_per_second):
        yield Padding(Text(sentence), (0, 1))


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_footer=True)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _outcomes(figures: Figures) -> Table:
    table = _table("Raw messages", "")
    table.add_column("", overflow="fold", style="dim")
    outcomes = figures.outcomes
    details = {
        "record": _listed(figures.records),
        "ignored": "about no grade",
        "rejected": _listed(figures.derived.dead_letters),
    }
    titles = {"record": "grade records", "ignored": "ignored", "rejected": "dead letters"}
    for outcome in OUTCOMES:
        table.add_row(titles[outcome], f"{outcomes[outcome]:,}", details[outcome])
    together = sum(outcomes.values())
    adds_up = together == figures.raw_messages
    for column, footer in zip(
        table.columns,
        (
            Text("together"),
            Text(f"{together:,}"),
            Text(f"of {figures.raw_messages:,} messages in the raw topic", "dim" if adds_up else "bold red"),
        ),
        strict=True,
    ):
        column.footer = footer
    return table


def _alerts(figures: Figures) -> Table:
    table = _table("Alerts", *SEVERITIES, "all")
    totals: Counter[str] = Counter()
    for rule, counts in figures.alerts.items():
        cells = [
            Text(f"{counts[severity]:,}", style) if counts[severity] else Text("-", "dim")
            for severity, style in SEVERITIES.items()
        ]
        table.add_row(rule, *cells, f"{counts.total():,}")
        totals += counts
    footers = ["together", *(f"{totals[severity]:,}" for severity in SEVERITIES), f"{totals.total():,}"]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
    return table


def _sentences(figures: Figures, sent_per_second: float) -> Iterator[str]:
    yield (
        f"{figures.raw_messages:,} messages worked off in {figures.seconds:.1f} s: "
        f"{figures.events_per_second:,.0f} a second, of at most {sent_per_second:,.0f} sent (--rate)."
    )
    half, most = figures.latency_seconds(0.5), figures.latency_seconds(0.99)
    if half is not None and most is not None:
        yield (
            f"From raw message to alert sent: half of the alerts within {half * 1000:g} ms, 99 % within "
            f"{most * 1000:g} ms."
        )
    yield (
        f"Of the grade records {figures.duplicates:,} were there already and changed nothing; "
        f"{figures.late:,} came after a newer one, corrected the table and were judged by no rule."
    )
    yield (
        f"Scores kept of {figures.students:,} students in {figures.courses:,} courses: "
        f"{len(figures.derived.snapshots):,} snapshots."
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
