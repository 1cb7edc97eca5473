"""Alerts against the truth: who really declines, as a synthetic semester's labels tell.

The unit is a student in a course. An alert is right when that student declines in that course and has begun
to; one about all of a student's courses is right when they decline in any. Every other alert is false,
however sensible: a score that is low but steady crosses a threshold and is no decline. What is about a whole
course is neither.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

import orjson

from app.backtest.lines import InputError, read_lines
from app.backtest.tally import RAISED, StudentCourse
from models.times import epoch_ms
from tables.cases import AlertDraft
from tables.scores import DAY_MS

_MAX_LABEL_BYTES: Final = 65_536
_UNIX_EPOCH: Final = date(1970, 1, 1)

Declines: TypeAlias = Mapping[bytes, Mapping[str, int]]
"""By a student's key and course: the first millisecond of the day, in UTC, on which the decline begins."""


def read_labels(path: Path) -> Declines:
    """Read what `generate --labels` wrote; raises InputError naming the first line that is no label."""
    declines: defaultdict[bytes, dict[str, int]] = defaultdict(dict)
    number = 0
    for lines in read_lines(str(path), _MAX_LABEL_BYTES):
        for line in lines:
            number += 1
            try:
                label = orjson.loads(line)
                key = f"{label['root_account_uuid']}:{label['user_id']}".encode()
                day = date.fromisoformat(label["decline_from"])
                declines[key][str(label["course_id"])] = (day - _UNIX_EPOCH).days * DAY_MS
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"Line {number} of {path} is no label. A label is a JSON object with root_account_uuid, "
                    "user_id, course_id and decline_from, a day such as 2025-10-14."
                ) from error
    return declines


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well alerts, of one rule or of all together, tell who declines."""

    declines: int
    """Student-courses that truly decline and of which there are events."""
    found: int
    """Of these, those with an alert raised in time."""
    alerts: int
    """Alerts raised."""
    right: int
    """Of these, those about a student-course that had begun to decline."""
    alerted: int
    """Student-courses with an alert raised."""
    rightly_alerted: int
    """Of these, those with an alert that was right."""
    delays_days: tuple[float, ...]
    """From the beginning of a decline to its first alert, of those found; sorted."""

    @property
    def recall(self) -> float | None:
        """Share of the true declines that were found in time."""
        return self.found / self.declines if self.declines else None

    @property
    def precision(self) -> float | None:
        """Share of the alerts that were right."""
        return self.right / self.alerts if self.alerts else None

    @property
    def precision_of_student_courses(self) -> float | None:
        """Share of the student-courses with an alert that truly decline."""
        return self.rightly_alerted / self.alerted if self.alerted else None

    @property
    def false(self) -> int:
        """Alerts about who did not decline, or not yet."""
        return self.alerts - self.right

    @property
    def median_delay_days(self) -> float | None:
        """The middle of the delays; the mean of both when there are two."""
        return median(self.delays_days) if self.delays_days else None

    @property
    def p90_delay_days(self) -> float | None:
        """The smallest delay that nine in ten do not exceed."""
        delays = self.delays_days
        return delays[math.ceil(0.9 * len(delays)) - 1] if delays else None


class Truth:
    """Holds the alerts that the set of rules at `place` raises against the labels.

    A decline counts as found when its first alert comes within `within_days` of its beginning.
    """

    def __init__(self, declines: Declines, within_days: float, place: int = 0) -> None:
        self.declines = declines
        self.within_days = within_days
        self._place = place
        self._verdicts: defaultdict[str, dict[StudentCourse, list[int]]] = defaultdict(dict)
        """By rule and student-course: alerts raised, and those of them that were right."""
        self._first_ms: defaultdict[str, dict[StudentCourse, int]] = defaultdict(dict)
        """By rule and student-course that declines: the first alert since then."""

    def take(self, key: bytes, found: Sequence[Iterable[AlertDraft]]) -> None:
        """Hold alerts about a student against the truth."""
        for draft in found[self._place]:
            if draft.status not in RAISED or draft.user_id is None:
                continue
            at = epoch_ms(draft.event_time)
            right = False
            for course_id, from_ms in self.declines.get(key, {}).items():
                if draft.course_id in (None, course_id) and at >= from_ms:
                    right = True
                    first = self._first_ms[draft.rule]
                    first[key, course_id] = min(at, first.get((key, course_id), at))
            verdict = self._verdicts[draft.rule].setdefault((key, draft.course_id), [0, 0])
            verdict[0] += 1
            verdict[1] += right

    @property
    def rules(self) -> Collection[str]:
        """Rules that raised anything."""
        return self._verdicts.keys()

    def accuracy(self, rules: Collection[str], seen: Collection[StudentCourse]) -> Accuracy:
        """Return how well some rules do together; of `seen` student-courses there are events."""
        first_ms: dict[StudentCourse, int] = {}
        right_by_unit: dict[StudentCourse, bool] = {}
        alerts = right = 0
        for rule in rules:
            for unit, at in self._first_ms.get(rule, {}).items():
                first_ms[unit] = min(at, first_ms.get(unit, at))
            for unit, (raised, rightly) in self._verdicts.get(rule, {}).items():
                alerts += raised
                right += rightly
                right_by_unit[unit] = right_by_unit.get(unit, False) or rightly > 0
        declines = [
            (unit, from_ms)
            for key, courses in self.declines.items()
            for course_id, from_ms in courses.items()
            if (unit := (key, course_id)) in seen
        ]
        delays = ((first_ms[unit] - from_ms) / DAY_MS for unit, from_ms in declines if unit in first_ms)
        in_time = sorted(delay for delay in delays if delay < self.within_days)
        return Accuracy(
            declines=len(declines),
            found=len(in_time),
            alerts=alerts,
            right=right,
            alerted=len(right_by_unit),
            rightly_alerted=sum(right_by_unit.values()),
            delays_days=tuple(in_time),
        )
