"""Medians, percentiles and how far runs lie apart."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("there are no values")
    if not 0 < percent <= 100:
        raise ValueError("percent is above 0 and at most 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """Several runs of the same."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return median, least and greatest; ValueError when there are none."""
        if not values:
            raise ValueError("there are no values")
        return cls(statistics.median(values), min(values), max(values))

    @property
    def percent(self) -> float:
        """How far the runs lie apart, in percent of the median."""
        return 100 * (self.high - self.low) / self.median if self.median else 0.0


def ratio(of: float | None, to: float | None) -> float | None:
    """Return of / to; None where one is unknown or there is nothing to divide by."""
    return of / to if of is not None and to else None
