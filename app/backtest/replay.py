"""The replay: read, fold and judge as the worker does, for several sets of rules at once; nothing is sent.

What is kept of a student depends on their own events alone, so it is enough that these come in the right
order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, Protocol, TypeAlias

from app.backtest.students import AWAKE, Student, Students
from models.grades import DEFAULT_LIMITS, Ignored, ReadLimits, Rejected, read
from models.records import CourseGradeChange, GradeRecord, MisnamedGradeOverride
from tables.cases import NO_HOLDS, AlertDraft
from tables.courses import NO_DROPS, CourseDrops, count_drop, drop_of
from tables.figures import difference
from tables.judges import POSTED, peak_before
from tables.rulebook import Rulebook
from tables.rules import Rules, evaluate
from tables.scores import CourseScores, place

RulesOf: TypeAlias = Callable[[str, str | None], Rules]
"""Gives the rules of a course of a root account."""

_DAY: Final = slice(10)
"""Of a canonical time, the day."""


class Sink(Protocol):
    """Takes what the sets of rules found in one record."""

    def take(self, key: bytes, found: Sequence[tuple[AlertDraft, ...]]) -> None:
        """Count what each set of rules found, of one at least something.

        The key is that of the student whom the record is about; an alert without a user_id is about a course.
        """


@dataclass(slots=True)
class Counts:
    """What went in."""

    ignored: int = 0
    """Events of other kinds."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    records: Counter[str] = field(default_factory=Counter)
    """Grade records by type."""
    renamed: int = 0
    """Of these, overrides that came under another name."""
    late: int = 0
    duplicates: int = 0
    days: set[str] = field(default_factory=set)
    """Days, UTC, of which there is a grade event."""
    courses: set[tuple[str, str]] = field(default_factory=set)
    """By root account."""
    student_courses: int = 0

    @property
    def events(self) -> int:
        """All of them, unreadable ones included."""
        return self.ignored + self.rejected.total() + self.records.total()


class Replay:
    """Takes events and hands what the rules find to its sinks.

    >>> replay = Replay([DEFAULT_RULEBOOK], [])
    >>> replay.judge(replay.records([b"{…}", b"{…}"]))
    """

    def __init__(
        self,
        books: Sequence[Rulebook],
        sinks: Sequence[Sink],
        *,
        limits: ReadLimits = DEFAULT_LIMITS,
        awake: int = AWAKE,
    ) -> None:
        self._rules_of = [book.for_course for book in books]
        self._course_drops: list[dict[bytes, CourseDrops]] = [{} for _ in books]
        self._sinks = sinks
        self._limits = limits
        self.students = Students(Student((NO_HOLDS,) * len(books)), awake)
        self.counts = Counts()

    def records(
        self, values: Iterable[bytes | None], timestamps: Iterable[int | None] = repeat(None)
    ) -> Iterator[GradeRecord]:
        """Yield the grade records among raw values, and count the rest.

        `timestamps` are the messages' Kafka timestamps in milliseconds. Without, as in files, an event of
        the future can't be told.
        """
        counts, limits = self.counts, self._limits
        for value, timestamp in zip(values, timestamps, strict=False):
            record = read(value, timestamp, limits=limits)
            if type(record) is Ignored:
                counts.ignored += 1
            elif type(record) is Rejected:
                counts.rejected[record.reason] += 1
            else:
                yield record  # type: ignore[misc]  # what is neither of the two; isinstance costs more

    def judge(self, records: Iterable[GradeRecord]) -> None:
        """Fold and judge records."""
        counts, rules_of = self.counts, self._rules_of
        types, days = counts.records, counts.days
        self.students.rest()
        awake, wake = self.students.awake, self.students.wake
        for record in records:
            key = record.key
            student = awake.get(key) or wake(key)
            before = student.scores
            scores, standing = place(before, record)
            types[record.type] += 1
            days.add(record.event_time[_DAY])
            if standing == "late":
                counts.late += 1
            elif standing == "duplicate":
                counts.duplicates += 1
            if type(record) is MisnamedGradeOverride:
                counts.renamed += 1
            course_id = record.course_id
            if scores is before or course_id is None:
                awake[key] = student
                continue
            root_account_uuid = record.root_account_uuid
            if course_id not in before.courses:
                self._count_course(root_account_uuid, course_id)
            held, found, anything = [], [], False
            for of, holds in zip(rules_of, student.holds, strict=True):
                rules = of(root_account_uuid, course_id)
                now, drafts = evaluate(holds, before, scores, record, rules, standing=standing)
                held.append(now)
                found.append(drafts)
                anything = anything or bool(drafts)
            deepest = student.deepest
            if record.type == "course_grade_change" and standing == "newest":
                was = before.courses.get(course_id)
                deepest = self._deepest(deepest, record, was, scores.courses[course_id])
            awake[key] = Student(tuple(held), scores, deepest)
            if anything:
                found = list(map(self._with_courses, found, rules_of, self._course_drops))
                for sink in self._sinks:
                    sink.take(key, found)

    @staticmethod
    def _with_courses(
        found: tuple[AlertDraft, ...], rules_of: RulesOf, courses: dict[bytes, CourseDrops]
    ) -> tuple[AlertDraft, ...]:
        """Return alerts with those that follow from them about whole courses."""
        followed = []
        for draft in found:
            if (drop := drop_of(draft)) is not None:
                rules = rules_of(drop.root_account_uuid, drop.course_id)
                courses[drop.key], alert = count_drop(
                    courses.get(drop.key, NO_DROPS), drop, rules.course_wide_drop
                )
                if alert is not None:
                    followed.append(alert)
        return (*found, *followed)

    def _count_course(self, root_account_uuid: str, course_id: str) -> None:
        self.counts.student_courses += 1
        self.counts.courses.add((root_account_uuid, course_id))

    def _deepest(
        self,
        deepest: Mapping[str, float],
        record: CourseGradeChange,
        before: CourseScores | None,
        after: CourseScores,
    ) -> Mapping[str, float]:
        """Return how far posted scores ever fell below the peak of the window of `score_drop`, by course.

        One that rose is no deeper than the one before it, so it is not looked at.
        """
        score, was = record.current_score, None if before is None else before.current
        if score is None or (was is not None and score >= was) or after.is_closed:
            return deepest
        window_ms = self._rules_of[0](record.root_account_uuid, record.course_id).score_drop.window
        peak = peak_before(after.points, window_ms, POSTED)
        if peak is None or peak - score <= deepest.get(record.course_id, 0.0):
            return deepest
        return {**deepest, record.course_id: difference(peak, score)}
