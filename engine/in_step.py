"""Partitions in step: what a backlog holds on several partitions is merged in the order of Kafka's time.

A student's events lie on several raw partitions, and partitions with a backlog drain at different speed.
What arrives after something newer is silent, so an hour of downtime would swallow alerts if each partition
ran as fast as it could.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from faust.types import TP

from engine.chunks import Record

_NEVER: Final = -(1 << 62)
_FOR_EVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Merged:
    """Records of several partitions, oldest first; those of one partition in the order of their offsets."""

    records: Sequence[Record]
    #: Per partition, the offset after its last record here.
    ends: dict[TP, int]
    _origins: Sequence[int]
    _starts: Sequence[int]

    def tp_of(self, index: int) -> TP:
        """Return the partition of the record at an index."""
        return list(self.ends)[bisect_right(self._starts, self._origins[index]) - 1]


class _Held:
    """What is at hand of one partition, with times that never fall: offsets count, whatever clocks said."""

    __slots__ = ("records", "times")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.times: list[int] = []

    def up_to(self, horizon_ms: int) -> "_Held":
        """Take out what is no later than a time."""
        cut = bisect_right(self.times, horizon_ms)
        taken = _Held()
        taken.records, self.records = self.records[:cut], self.records[cut:]
        taken.times, self.times = self.times[:cut], self.times[cut:]
        return taken


class InStep:
    """Holds fetched records until no partition that is behind could still have older ones.

    Where a partition that is behind brings nothing for `patience_seconds` the others may run up to `skew_ms`
    ahead of it; one of which nothing is known yet then holds nobody up. `max_records` bounds what is held:
    beyond it everything is let go, in order, whatever is missing.
    """

    def __init__(
        self,
        *,
        skew_ms: int,
        patience_seconds: float = 1.0,
        max_records: int = 200_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._skew_ms = skew_ms
        self._patience_seconds = patience_seconds
        self._max_records = max_records
        self._clock = clock
        self._held: dict[TP, _Held] = {}
        #: Per partition the time of the newest record seen; what is still to come is not older.
        self._seen_ms: dict[TP, int] = {}
        #: Since when a partition that is behind has had nothing at hand.
        self._missing_since: dict[TP, float] = {}

    @property
    def holding(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def add(self, tp: TP, records: Sequence[Record]) -> None:
        """Take what was fetched next from a partition; at least one record."""
        times = accumulate([r.timestamp for r in records], max, initial=self._seen_ms.get(tp, _NEVER))
        next(times)
        held = self._held.setdefault(tp, _Held())
        held.records += records
        held.times += times
        self._seen_ms[tp] = held.times[-1]

    def take(self, behind: Iterable[TP]) -> Merged | None:
        """Return what may go now, if anything may.

        `behind` are the partitions that have more records than those that were added.
        """
        horizon_ms = min((self._horizon_ms(tp) for tp in behind), default=_FOR_EVER)
        if sum(len(held.records) for held in self._held.values()) > self._max_records:
            horizon_ms = _FOR_EVER
        taken = {tp: held.up_to(horizon_ms) for tp, held in self._held.items() if held.times[0] <= horizon_ms}
        for tp in [tp for tp in taken if not self._held[tp].records]:
            del self._held[tp]
        return _merge(taken) if taken else None

    def clear(self) -> None:
        """Forget everything: the positions have changed."""
        self._held.clear()
        self._seen_ms.clear()
        self._missing_since.clear()

    def _horizon_ms(self, tp: TP) -> int:
        """Return up to which time others may go without overtaking what a partition still has to bring."""
        seen_ms = self._seen_ms.get(tp)
        if tp in self._held:
            self._missing_since.pop(tp, None)
        else:
            missing_since = self._missing_since.setdefault(tp, self._clock())
            if self._clock() - missing_since > self._patience_seconds:
                return _FOR_EVER if seen_ms is None else seen_ms + self._skew_ms
        return _NEVER if seen_ms is None else seen_ms


def _merge(parts: dict[TP, _Held]) -> Merged:
    """Merge by time. Sorting finds the parts, which are sorted already, and is as quick as merging them."""
    records: list[Record] = []
    times: list[int] = []
    starts = []
    for part in parts.values():
        starts.append(len(records))
        records += part.records
        times += part.times
    order: Sequence[int] = range(len(records))
    if len(parts) > 1:
        order = sorted(order, key=times.__getitem__)
        records = [records[index] for index in order]
    ends = {tp: part.records[-1].offset + 1 for tp, part in parts.items()}
    return Merged(records, ends, order, starts)
