"""How deep scores fall: student-courses by their deepest drop, which is what a `min_drop` is chosen by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from app.backtest.students import Student

BIN_POINTS: Final = 2.5
BINS: Final = 17
"""The last one is for all that is as deep or deeper: 40 points."""


class Bin(NamedTuple):
    """Student-courses whose deepest drop is from `least` to below `below` percent points."""

    least: float
    below: float | None
    """None where nothing is too deep."""
    declining: int
    """Of those that truly decline; none are known without labels."""
    others: int


def bins_of(
    students: Iterable[tuple[bytes, Student]], declines: Mapping[bytes, Mapping[str, int]]
) -> tuple[Bin, ...]:
    """Count student-courses by the deepest drop of the posted score below the peak of a window before it.

    Those whose score never fell are in none.
    """
    declining, others = [0] * BINS, [0] * BINS
    for key, student in students:
        truly = declines.get(key, {})
        for course_id, depth in student.deepest.items():
            counts = declining if course_id in truly else others
            counts[min(BINS - 1, int(depth / BIN_POINTS))] += 1
    return tuple(
        Bin(BIN_POINTS * n, BIN_POINTS * (n + 1) if n < BINS - 1 else None, declining[n], others[n])
        for n in range(BINS)
    )
