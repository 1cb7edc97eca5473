"""A backtest: a replay with everything that counts what it finds, and the report at its end."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from itertools import repeat

from app.backtest.comparison import Comparison
from app.backtest.depths import bins_of
from app.backtest.replay import Replay, Sink
from app.backtest.report import Report, RulesReport
from app.backtest.rulesets import RuleSet
from app.backtest.tally import StudentCourse, Tally
from app.backtest.truth import Declines, Truth
from models.grades import DEFAULT_LIMITS, ReadLimits
from models.records import GradeRecord
from tables.cases import AlertDraft


class Backtest:
    """Tries sets of rules on events; where there are two, the second is compared with the first.

    With `only`, alerts of other rules are left out; `sinks` are shown every alert as well. `declines` is the
    truth, where it is known, and `within_days` how soon an alert must come to have found a decline.
    """

    def __init__(
        self,
        rule_sets: Sequence[RuleSet] = (RuleSet(),),
        *,
        only: Collection[str] = (),
        declines: Declines | None = None,
        within_days: float = 28.0,
        sinks: Sequence[Sink] = (),
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        self._rule_sets = rule_sets
        self._only = frozenset(only)
        self._declines = declines
        self._tallies = [Tally(place) for place in range(len(rule_sets))]
        self._truths = (
            []
            if declines is None
            else [Truth(declines, within_days, place) for place in range(len(rule_sets))]
        )
        self._comparison = Comparison() if len(rule_sets) == 2 else None
        every: list[Sink] = [*self._tallies, *self._truths, *sinks]
        if self._comparison is not None:
            every.append(self._comparison)
        self._replay = Replay(
            [rule_set.book for rule_set in rule_sets],
            [_Only(self._only, every)] if only else every,
            limits=limits,
        )
        self._started = time.perf_counter()

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self._replay.counts.events

    def take(self, values: Iterable[bytes | None], timestamps: Iterable[int | None] = repeat(None)) -> None:
        """Take raw events, with their messages' Kafka timestamps in milliseconds where there are any."""
        self._replay.judge(self._replay.records(values, timestamps))

    def records(self, values: Iterable[bytes | None]) -> Iterable[GradeRecord]:
        """Give the grade records among raw events, and count the others; `judge` takes them on."""
        return self._replay.records(values)

    def judge(self, records: Iterable[GradeRecord]) -> None:
        """Take grade records."""
        self._replay.judge(records)

    def report(self) -> Report:
        """Return what was found; takes a pass over all students."""
        students = self._replay.students
        declines = self._declines or {}
        seen: set[StudentCourse] = {
            (key, course_id)
            for key, student in students.items()
            if key in declines
            for course_id in student.scores.courses
        }
        return Report(
            counts=self._replay.counts,
            students=len(students),
            depths=bins_of(students.items(), declines),
            depth_window_ms=self._rule_sets[0].book.default.score_drop.window,
            sets=tuple(
                RulesReport.of(
                    rule_set, tally, self._truths[tally.place] if self._truths else None, seen, self._only
                )
                for rule_set, tally in zip(self._rule_sets, self._tallies, strict=True)
            ),
            comparison=self._comparison,
            labels=None if self._declines is None else sum(map(len, self._declines.values())),
            seconds=time.perf_counter() - self._started,
        )


class _Only:
    """Hands on the alerts of some rules."""

    def __init__(self, rules: Collection[str], sinks: Sequence[Sink]) -> None:
        self._rules = rules
        self._sinks = sinks

    def take(self, key: bytes, found: Sequence[tuple[AlertDraft, ...]]) -> None:
        """Hand on what is left of alerts about a student."""
        left = [tuple([draft for draft in drafts if draft.rule in self._rules]) for drafts in found]
        if any(left):
            for sink in self._sinks:
                sink.take(key, left)
