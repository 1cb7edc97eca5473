"""Counts of the alerts that one set of rules would have sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from models.alerts import Severity, Status
from tables.cases import AlertDraft

RAISED: Final = frozenset({"opened", "escalated"})
"""Statuses that ask for a person; `resolved` says that it is over."""

StudentCourse: TypeAlias = tuple[bytes, str | None]
"""A student's key and a course; None in its place for what is about all of a student's courses."""


@lru_cache(maxsize=4096)
def week_of(day: str) -> str:
    """Return the Monday of a day's week, both as `2025-09-01`; days are those of UTC."""
    given = date.fromisoformat(day)
    return (given - timedelta(days=given.weekday())).isoformat()


class CourseNoise(NamedTuple):
    """A course and what was raised about its students."""

    root_account_uuid: str
    course_id: str
    alerts: int
    students: int
    """Of whom something was raised."""
    rules: Counter[str]
    """Alerts by rule."""


@dataclass(slots=True)
class Tally:
    """Alerts of the set of rules at `place` in the replay; what is resolved is counted by status only."""

    place: int = 0
    statuses: Counter[tuple[str, Status]] = field(default_factory=Counter)
    """By rule."""
    severities: Counter[tuple[str, Severity]] = field(default_factory=Counter)
    """By rule, of what was raised."""
    weeks: Counter[tuple[str, str, Status]] = field(default_factory=Counter)
    """By rule and the Monday of the week of the event."""
    courses: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Raised, by root account, course and rule."""
    student_courses: defaultdict[str, set[StudentCourse]] = field(default_factory=lambda: defaultdict(set))
    """By rule: about whom something was raised; whole courses are not in it."""

    def take(self, key: bytes, found: Sequence[Iterable[AlertDraft]]) -> None:
        """Count alerts from a record about the student with this key."""
        for draft in found[self.place]:
            rule, status = draft.rule, draft.status
            self.statuses[rule, status] += 1
            self.weeks[rule, week_of(draft.event_time[:10]), status] += 1
            if status not in RAISED:
                continue
            self.severities[rule, draft.severity] += 1
            if draft.user_id is not None:
                self.student_courses[rule].add((key, draft.course_id))
            if draft.course_id is not None:
                self.courses[draft.root_account_uuid, draft.course_id, rule] += 1

    def alerts(self, rule: str | None = None) -> int:
        """Return how many alerts of a rule, or of all, there are, with what was resolved."""
        return sum(count for (of, _), count in self.statuses.items() if rule in (None, of))

    def raised(self, rule: str | None = None) -> int:
        """Return how many alerts of a rule, or of all, ask for a person."""
        return sum(
            count for (of, status), count in self.statuses.items() if rule in (None, of) and status in RAISED
        )

    def raised_in(self, week: str, rule: str) -> int:
        """Return how many alerts of a rule ask for a person in the week that begins on a Monday."""
        return sum(self.weeks[rule, week, status] for status in ("opened", "escalated"))

    def students(self, rule: str | None = None) -> int:
        """Return how many students something was raised about, by a rule or by any."""
        return len(
            {key for of, pairs in self.student_courses.items() if rule in (None, of) for key, _ in pairs}
        )

    def noisiest(self, count: int) -> list[CourseNoise]:
        """Return the courses with the most alerts raised, the most first."""
        by_course: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for (root_account_uuid, course_id, rule), alerts in self.courses.items():
            by_course[root_account_uuid, course_id][rule] = alerts
        worst = sorted(by_course.items(), key=lambda item: (-item[1].total(), item[0]))[:count]
        students: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)
        wanted = {course for course, _ in worst}
        for pairs in self.student_courses.values():
            for key, course_of_student in pairs:
                course = (key.decode().rpartition(":")[0], course_of_student or "")
                if course in wanted:
                    students[course].add(key)
        return [CourseNoise(*course, rules.total(), len(students[course]), rules) for course, rules in worst]
