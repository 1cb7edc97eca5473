"""What a backtest found, in the figures that a table, a page or a program shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from app.backtest.comparison import Comparison
from app.backtest.depths import Bin
from app.backtest.replay import Counts
from app.backtest.rulesets import RuleSet
from app.backtest.tally import CourseNoise, StudentCourse, Tally, week_of
from app.backtest.truth import Accuracy, Truth
from tables.courses import RULE as COURSE_WIDE
from tables.parameters import PARAMETERS
from tables.scores import DAY_MS

STATUSES: Final = ("opened", "escalated", "resolved")
WEEK_COLUMNS: Final = ("rules", "rule", "week", *STATUSES, "per_100_students")
NOISIEST: Final = 10
"""Courses in the report."""
ALL: Final = "all rules"
"""Stands where a rule's name would, for all of them together."""


@dataclass(frozen=True, slots=True)
class RulesReport:
    """What one set of rules would have said."""

    rule_set: RuleSet
    rules: tuple[str, ...]
    """Rules with something to say, in the order of the table of rules: those switched on, and any that sent
    an alert."""
    tally: Tally
    accuracy: dict[str, Accuracy]
    """By rule about students, and under `ALL` for all together; empty without labels."""
    within_days: float | None

    @classmethod
    def of(
        cls,
        rule_set: RuleSet,
        tally: Tally,
        truth: Truth | None,
        seen: Collection[StudentCourse],
        only: Collection[str],
    ) -> RulesReport:
        """Sum a set of rules up; `seen` are the labelled student-courses of which there are events."""
        rules = tuple(
            rule
            for rule in PARAMETERS
            if (not only or rule in only)
            and (getattr(rule_set.book.default, rule).enabled or tally.alerts(rule))
        )
        accuracy: dict[str, Accuracy] = {}
        if truth is not None:
            accuracy = {rule: truth.accuracy((rule,), seen) for rule in rules if rule != COURSE_WIDE}
            accuracy[ALL] = truth.accuracy(rules, seen)
        return cls(rule_set, rules, tally, accuracy, None if truth is None else truth.within_days)


@dataclass(frozen=True, slots=True)
class Report:
    """All that is reported. Rates are per 100 students, of whom there is any grade event, and week."""

    counts: Counts
    students: int
    depths: tuple[Bin, ...]
    depth_window_ms: int
    sets: tuple[RulesReport, ...]
    """The rules that were tried and, in a comparison, the others."""
    comparison: Comparison | None
    labels: int | None
    """Student-courses that are said to decline, those of which there is no event included."""
    seconds: float

    @property
    def weeks(self) -> list[str]:
        """Mondays of the weeks, in UTC, of which there is any grade event.

        The first and the last are cut off where the recording begins and ends, and count whole.
        """
        return sorted({week_of(day) for day in self.counts.days})

    @property
    def shown_weeks(self) -> list[str]:
        """The same and those of alerts, for a window of a whole course may begin before its first event."""
        alerted = (week for of_set in self.sets for _, week, _ in of_set.tally.weeks)
        return sorted({*self.weeks, *alerted})

    @property
    def events_per_second(self) -> float:
        """Events taken per second of the whole run."""
        return self.counts.events / max(1e-9, self.seconds)

    def rate(self, alerts: int) -> float | None:
        """Return how many alerts that is per 100 students and week."""
        student_weeks = self.students * len(self.weeks)
        return 100 * alerts / student_weeks if student_weeks else None

    def noisiest(self) -> list[CourseNoise]:
        """Return the courses that the first set of rules says most about."""
        return self.sets[0].tally.noisiest(NOISIEST)

    def week_rows(self) -> Iterator[tuple[str | int | float, ...]]:
        """Yield alerts per rule and week in the order of WEEK_COLUMNS, for every rule and week, zeros too."""
        for of_set in self.sets:
            for rule in of_set.rules:
                for week in self.shown_weeks:
                    counts = [of_set.tally.weeks[rule, week, status] for status in STATUSES]
                    per_100_students = 100 * of_set.tally.raised_in(week, rule) / self.students
                    yield (of_set.rule_set.name, rule, week, *counts, per_100_students)

    def document(self) -> dict[str, Any]:
        """Return everything as a JSON document; no student's id is in it."""
        counts = self.counts
        days = sorted(counts.days)
        first, *others = (self._set_document(of_set) for of_set in self.sets)
        return {
            "events": counts.events,
            "events_by_outcome": {
                "record": counts.records.total(),
                "ignored": counts.ignored,
                "rejected": counts.rejected.total(),
            },
            "rejected_by_reason": dict(counts.rejected.most_common()),
            "records_by_type": dict(counts.records.most_common()),
            "renamed_events": counts.renamed,
            "late_records": counts.late,
            "duplicate_records": counts.duplicates,
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
            "weeks": len(self.weeks),
            "students": self.students,
            "courses": len(counts.courses),
            "student_courses": counts.student_courses,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second),
            **first,
            "drops": {
                "window_days": self.depth_window_ms / DAY_MS,
                "student_courses_by_deepest": [self._bin_document(each) for each in self.depths],
            },
            "compare": self._comparison_document(others[0]) if others else None,
        }

    def _set_document(self, of_set: RulesReport) -> dict[str, Any]:
        tally = of_set.tally
        return {
            "rules": {"name": of_set.rule_set.name, "hash": of_set.rule_set.book.digest},
            "alerts": tally.alerts(),
            "alerts_raised": tally.raised(),
            "alerts_raised_per_100_students_and_week": self.rate(tally.raised()),
            "students_alerted": tally.students(),
            "alerts_by_rule": {rule: self._rule_document(tally, rule) for rule in of_set.rules},
            "alerts_by_week": {
                week: {rule: tally.raised_in(week, rule) for rule in of_set.rules}
                for week in self.shown_weeks
            },
            "noisiest_courses": [
                {**noise._asdict(), "rules": dict(noise.rules.most_common())}
                for noise in tally.noisiest(NOISIEST)
            ],
            "labels": self._labels_document(of_set),
        }

    def _rule_document(self, tally: Tally, rule: str) -> dict[str, Any]:
        return {
            **{status: tally.statuses[rule, status] for status in STATUSES},
            "by_severity": {
                severity: tally.severities[rule, severity] for severity in ("critical", "warning", "info")
            },
            "students": tally.students(rule),
            "student_courses": len(tally.student_courses.get(rule, ())),
            "per_100_students_and_week": self.rate(tally.raised(rule)),
        }

    def _labels_document(self, of_set: RulesReport) -> dict[str, Any] | None:
        if not of_set.accuracy:
            return None
        by_rule = {rule: self.accuracy_document(one) for rule, one in of_set.accuracy.items()}
        return {
            "within_days": of_set.within_days,
            "declines": self.labels,
            "declines_with_events": of_set.accuracy[ALL].declines,
            "all": by_rule.pop(ALL),
            "by_rule": by_rule,
        }

    def accuracy_document(self, accuracy: Accuracy) -> dict[str, Any]:
        """Return how well alerts tell who declines as a JSON document."""
        return {
            "recall": accuracy.recall,
            "declines_found": accuracy.found,
            "precision": accuracy.precision,
            "alerts": accuracy.alerts,
            "false_alerts": accuracy.false,
            "false_alerts_per_100_students_and_week": self.rate(accuracy.false),
            "precision_of_student_courses": accuracy.precision_of_student_courses,
            "student_courses_alerted": accuracy.alerted,
            "delay_days": {"median": accuracy.median_delay_days, "p90": accuracy.p90_delay_days},
        }

    def _bin_document(self, each: Bin) -> dict[str, Any]:
        document: dict[str, Any] = {
            "from": each.least,
            "below": each.below,
            "count": each.declining + each.others,
        }
        return document if self.labels is None else {**document, "declining": each.declining}

    def _comparison_document(self, other: dict[str, Any]) -> dict[str, Any]:
        compared = self.comparison or Comparison()
        rules = [rule for rule in PARAMETERS if any(rule in of_set.rules for of_set in self.sets)]
        return {
            **other,
            "same": compared.same.total(),
            "added": compared.added.total(),
            "removed": compared.removed.total(),
            "by_rule": {
                rule: {
                    change: {status: counts[rule, status] for status in STATUSES}
                    for change, counts in (
                        ("same", compared.same),
                        ("added", compared.added),
                        ("removed", compared.removed),
                        ("other_severity", compared.other_severity),
                    )
                }
                for rule in rules
            },
            "students_added": len(self._students(1) - self._students(0)),
            "students_removed": len(self._students(0) - self._students(1)),
        }

    def _students(self, place: int) -> set[bytes]:
        pairs = self.sets[place].tally.student_courses.values()
        return {key for of_rule in pairs for key, _ in of_rule}


def week_label(monday: str) -> str:
    """Return a week as `1 Sep`, by its Monday."""
    day = date.fromisoformat(monday)
    return f"{day.day} {day:%b}"
