"""Show what the scenarios find: a line each as they run, a table at the end."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.e2e.oracle import PARTS
from tests.faults.outcome import Outcome, Scenario

SHOWN: Final = 400
"""How many characters of a difference are shown."""


def verdict(outcome: Outcome) -> str:
    """Return how it went in a word or two."""
    if outcome.went_well:
        return "ok"
    if outcome.failure is not None:
        return "failed"
    return "differs" if outcome.differences else "nothing compared"


def line(scenario: Scenario, outcome: Outcome) -> str:
    """Return one line about a scenario that is over."""
    repeats = outcome.repeats
    return (
        f"{scenario.number:>2}  {scenario.title}: {verdict(outcome)}, {outcome.kills} kills, "
        f"{repeats.records} records, {repeats.alerts} alerts and {repeats.dead_letters} dead letters "
        f"repeated, {outcome.seconds:.0f} s" + "".join(f"; {note}" for note in outcome.notes)
    )


def show_table(console: Console, outcomes: Mapping[Scenario, Outcome]) -> None:
    """Print a row for each scenario, and below it what differs in words."""
    table = Table(title="Faults", title_justify="left")
    table.add_column("No", justify="right")
    table.add_column("Scenario", min_width=24)
    for name in ("Kills", "Repeated\nrecords", "Repeated\nalerts", "Repeated\ndead letters"):
        table.add_column(name, justify="right")
    for part in PARTS:
        table.add_column(part.capitalize().replace(" ", "\n"))
    table.add_column("Seconds", justify="right")
    table.add_column("Outcome")
    for scenario, outcome in outcomes.items():
        table.add_row(
            str(scenario.number),
            scenario.title,
            str(outcome.kills),
            str(outcome.repeats.records),
            str(outcome.repeats.alerts),
            str(outcome.repeats.dead_letters),
            *(outcome.equality(part) for part in PARTS),
            f"{outcome.seconds:.0f}",
            f"[{'green' if outcome.went_well else 'red'}]{verdict(outcome)}[/]",
        )
    console.print(table)
    for scenario, outcome in outcomes.items():
        for note in outcome.notes:
            console.print(f"{scenario.number} {scenario.title}: {note}", markup=False, highlight=False)
    for scenario, outcome in outcomes.items():
        for part, difference in outcome.differences.items():
            console.print(f"{scenario.number} {scenario.title}: {part}: {_cut(difference)}", markup=False)
        if outcome.failure is not None:
            console.print(f"{scenario.number} {scenario.title}: {_cut(outcome.failure)}", markup=False)


def _cut(text: str) -> str:
    """Return the beginning of what may quote a whole state."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
