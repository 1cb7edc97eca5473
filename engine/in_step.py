"""Partitions in step: what a backlog holds on several partitions is merged in the order of Kafka's time.

A student's events lie on several raw partitions, and partitions with a backlog drain at different speed.
What arrives after something newer is silent, so an hour of downtime would swallow alerts if each partition
ran as fast as it could.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final, TypeAlias

from faust.types import TP

from engine.chunks import Record

_timestamp = itemgetter(0)
_NEVER: Final = -(1 << 62)
_FOR_EVER: Final = 1 << 62

Stamped: TypeAlias = tuple[int, TP, Record]
"""A record, its partition, and its time: no earlier than that of any record before it there."""


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
        self._held: dict[TP, list[Stamped]] = {}
        #: Per partition the time of the newest record seen; what is still to come is not older.
        self._seen_ms: dict[TP, int] = {}
        #: Since when a partition that is behind has had nothing at hand.
        self._missing_since: dict[TP, float] = {}

    @property
    def holding(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def add(self, tp: TP, records: Sequence[Record]) -> None:
        """Take what was fetched next from a partition."""
        # Within a partition offsets count, whatever the producers' clocks said.
        times = accumulate((r.timestamp for r in records), max, initial=self._seen_ms.get(tp, _NEVER))
        next(times)
        stamped = [(at, tp, record) for at, record in zip(times, records, strict=True)]
        self._seen_ms[tp] = stamped[-1][0]
        self._held.setdefault(tp, []).extend(stamped)

    def take(self, behind: Iterable[TP]) -> list[Stamped]:
        """Return what may go now, oldest first.

        `behind` are the partitions that have more records than those that were added.
        """
        horizon_ms = min((self._horizon_ms(tp) for tp in behind), default=None)
        if not self._held:
            return []
        if horizon_ms is None or sum(map(len, self._held.values())) > self._max_records:
            ready, self._held = list(self._held.values()), {}
        else:
            ready = [self._split(tp, horizon_ms) for tp in list(self._held)]
        if len(ready) == 1:
            return ready[0]
        return sorted((stamped for records in ready for stamped in records), key=_timestamp)

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

    def _split(self, tp: TP, horizon_ms: int) -> list[Stamped]:
        held = self._held[tp]
        cut = bisect_right(held, horizon_ms, key=_timestamp)
        if cut == len(held):
            del self._held[tp]
            return held
        self._held[tp] = held[cut:]
        return held[:cut]
