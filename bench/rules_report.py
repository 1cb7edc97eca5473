"""`python -m bench.rules_report`: how well rules tell who declines, on synthetic semesters.

Writes the figures between the marks of docs/rules-backtest.md; `make rules-report` calls it. The semesters
are seeded, so the same code writes the same figures. It takes some minutes: each semester is generated once
and judged by all sets of rules at the same time.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice, product
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress

from app.backtest.backtest import Backtest
from app.backtest.report import ALL, Report
from app.backtest.rulesets import BUILT_IN, RuleSet
from app.backtest.truth import Accuracy, Declines
from app.backtest.words import decimal, percent
from app.rules import load_rules
from app.semester import Options, Semester
from tables.parameters import PARAMETERS, Rules
from tables.rulebook import Rulebook
from tables.scores import DAY_MS

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "docs" / "rules-backtest.md"
RECOMMENDED: Final = ROOT / "deploy" / "rules" / "recommended.toml"

SEEDS: Final = (1, 2, 3)
"""Semesters that rules are chosen on."""
FRESH_SEEDS: Final = (105, 106)
"""Semesters that nobody looked at while choosing."""
STUDENTS: Final = 420
"""Three semesters of 16 weeks then have more than 20,000 students' weeks."""
WITHIN_DAYS: Final = 28.0

_EPOCH: Final = date(1970, 1, 1)
_MESSAGES: Final = 5_000

VARIATIONS: Final[Sequence[tuple[str, Sequence[Mapping[str, Any]]]]] = (
    (
        "score_drop",
        [
            {"min_drop": drop, "critical_drop": 2 * drop, "window": window}
            for window, drop in product(("7d", "14d", "21d", "28d"), (5, 7.5, 10, 15, 20))
        ],
    ),
    (
        "threshold_crossed",
        [
            {"thresholds": thresholds, "rearm": rearm}
            for thresholds, rearm in product(([65, 55], [70, 60], [75, 65], [80, 70, 60]), (1, 3))
        ],
    ),
    (
        "low_assignment_average",
        [
            {"last": last, "min_count": least, "below": below}
            for (last, least), below in product(((3, 3), (5, 3), (5, 5), (8, 5)), (55, 60, 65, 70))
        ],
    ),
    (
        "courses_at_risk",
        [{"below": below, "min_courses": courses} for below, courses in product((65, 70, 75), (2, 3))],
    ),
    ("submission_score_drop", [{"min_drop_percent": drop} for drop in (10, 20)]),
)
"""By rule the parameters that are tried, alone, all others at their defaults."""


@dataclass(frozen=True)
class Figures:
    """What one or several semesters say about one set of rules."""

    accuracy: Accuracy
    student_weeks: int

    @classmethod
    def together(cls, parts: Iterable["Figures"]) -> "Figures":
        parts = list(parts)
        accuracies = [part.accuracy for part in parts]
        return cls(
            Accuracy(
                declines=sum(one.declines for one in accuracies),
                found=sum(one.found for one in accuracies),
                alerts=sum(one.alerts for one in accuracies),
                right=sum(one.right for one in accuracies),
                alerted=sum(one.alerted for one in accuracies),
                rightly_alerted=sum(one.rightly_alerted for one in accuracies),
                delays_days=tuple(sorted(delay for one in accuracies for delay in one.delays_days)),
            ),
            sum(part.student_weeks for part in parts),
        )

    def cells(self) -> list[str]:
        one = self.accuracy
        return [
            percent(one.recall),
            percent(one.precision),
            decimal(100 * one.false / self.student_weeks),
            decimal(one.median_delay_days, 1),
            decimal(one.p90_delay_days, 1),
        ]


HEADINGS: Final = (
    "Recall",
    "Precision",
    "False alerts per 100 students and week",
    "Days to the first alert, median",
    "p90",
)


def only(rule: str, changed: Mapping[str, Any]) -> Rules:
    """Return rules of which but one is switched off."""
    return Rules.model_validate(
        {name: changed if name == rule else {"enabled": False} for name in PARAMETERS}
    )


def rule_sets() -> list[RuleSet]:
    tried = [
        RuleSet(_title(rule, changed), Rulebook(only(rule, changed)))
        for rule, variations in VARIATIONS
        for changed in variations
    ]
    return [RuleSet(), RuleSet(RECOMMENDED.name, load_rules(RECOMMENDED)), *tried]


def _title(rule: str, changed: Mapping[str, Any]) -> str:
    """Return a variation as it is written in a rules file; the default ones are marked."""
    parameters = PARAMETERS[rule]
    is_default = parameters.model_validate(changed) == parameters()
    written = ", ".join(f"{name} = {json.dumps(value)}" for name, value in changed.items())
    return f"`{written}`{' (default)' if is_default else ''}"


def judge(seed: int, sets: Sequence[RuleSet], bar: Progress) -> Report:
    """Judge a semester by all sets of rules."""
    semester = Semester(Options(seed=seed, students=STUDENTS, other_share=0.0))
    backtest = Backtest(sets, declines=declines_of(semester), within_days=WITHIN_DAYS)
    options = semester.options
    task = bar.add_task(f"Seed {seed}", total=options.until_ms - options.since_ms)
    events = semester.events()
    while some := list(islice(events, _MESSAGES)):
        backtest.take([event.value for event in some])
        bar.update(task, completed=some[-1].event_time_ms - options.since_ms)
    return backtest.report()


def declines_of(semester: Semester) -> Declines:
    declines: dict[bytes, dict[str, int]] = {}
    for label in semester.labels():
        key = f"{label.root_account_uuid}:{label.user_id}".encode()
        declines.setdefault(key, {})[label.course_id] = (label.decline_from - _EPOCH).days * DAY_MS
    return declines


def figures(report: Report, place: int, rule: str = ALL) -> Figures:
    return Figures(report.sets[place].accuracy[rule], report.students * len(report.weeks))


def defaults(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the table of the default rules, each alone and all together."""
    yield from _head("Rule")
    for rule in reports[0].sets[0].accuracy:
        together = Figures.together(figures(report, 0, rule) for report in reports)
        yield _row(rule if rule == ALL else f"`{rule}`", *together.cells())


def variations(reports: Sequence[Report]) -> Iterator[str]:
    """Yield a table for every rule of which variations were tried."""
    place = 2
    for rule, tried in VARIATIONS:
        yield f"`{rule}`:"
        yield ""
        yield from _head("Parameters")
        for _ in tried:
            together = Figures.together(figures(report, place) for report in reports)
            yield _row(reports[0].sets[place].rule_set.name, *together.cells())
            place += 1
        yield ""


def recommended(chosen: Mapping[int, Report], fresh: Mapping[int, Report]) -> Iterator[str]:
    """Yield the table of the recommended rules beside the default ones, semester by semester."""
    names = (BUILT_IN, f"`{RECOMMENDED.name}`")
    yield from _head("Semester", "Rules")
    for what, reports in (("seed", chosen), ("fresh seed", fresh)):
        for seed, report in reports.items():
            for place, name in enumerate(names):
                yield _row(f"{what} {seed}", name, *figures(report, place).cells())
    everything = [*chosen.values(), *fresh.values()]
    for place, name in enumerate(names):
        yield _row("all five", name, *Figures.together(figures(each, place) for each in everything).cells())


def semesters(reports: Mapping[int, Report]) -> Iterator[str]:
    """Yield what the figures are taken from."""
    yield "| Seed | Students | Courses | Weeks | Grade events | Students' weeks | True declines |"
    yield "| --- " * 7 + "|"
    for seed, report in reports.items():
        counts = report.counts
        yield _row(
            str(seed),
            f"{report.students:,}",
            f"{len(counts.courses):,}",
            str(len(report.weeks)),
            f"{counts.records.total():,}",
            f"{report.students * len(report.weeks):,}",
            f"{report.sets[0].accuracy[ALL].declines:,}",
        )


def spread(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the deepest drops of who truly declines and of everybody else."""
    yield "| Deepest drop within 7 days | Truly declining | Others |"
    yield "| --- " * 3 + "|"
    bins = zip(*(report.depths for report in reports), strict=True)
    sums = [(same[0], sum(b.declining for b in same), sum(b.others for b in same)) for same in bins]
    declining, others = (sum(counts) for counts in list(zip(*sums, strict=True))[1:])
    for each, of_declining, of_others in sums:
        least = f"{each.least:g}"
        text = f"{least} points or more" if each.below is None else f"{least} to {each.below:g} points"
        yield _row(text, percent(of_declining / declining), percent(of_others / others))


def _head(*first: str) -> Iterator[str]:
    yield _row(*first, *HEADINGS)
    yield "| --- " * (len(first) + len(HEADINGS)) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write(blocks: Mapping[str, Iterable[str]], document: Path = DOCUMENT) -> None:
    """Replace what is between the marks of a document; ValueError when a mark is missing."""
    text = document.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        mark, end = f"<!-- figures: {name} -->", "<!-- end -->"
        before, found, after = text.partition(mark)
        _, ended, rest = after.partition(end)
        if not (found and ended):
            raise ValueError(f"{document} has no {mark}")
        block = "\n".join(lines).strip()
        text = f"{before}{mark}\n\n{block}\n\n{end}{rest}"
    document.write_text(text, encoding="utf-8")


def main() -> None:
    sets = rule_sets()
    with Progress(console=Console(stderr=True)) as bar:
        chosen = {seed: judge(seed, sets, bar) for seed in SEEDS}
        fresh = {seed: judge(seed, sets[:2], bar) for seed in FRESH_SEEDS}
    reports = list(chosen.values())
    write(
        {
            "semesters": semesters({**chosen, **fresh}),
            "defaults": defaults(reports),
            "spread": spread(reports),
            "variations": variations(reports),
            "recommended": recommended(chosen, fresh),
        }
    )


if __name__ == "__main__":
    main()
