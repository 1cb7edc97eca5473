"""Partitions in step: what a backlog holds on several partitions is merged in the order of Kafka's time.

A student's events lie on several raw partitions, and partitions with a backlog drain at different speed.
What arrives after something newer is silent, so an hour of downtime would swallow alerts if each partition
ran as fast as it could.
"""

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from faust.types import TP

from engine.merging import rising_times
from engine.unpacking import Batch

#: Of how many fetches a partition may have something at hand before no more of it is asked for.
_ENOUGH_FETCHES: Final = 2
_NEVER: Final = -(1 << 62)
_FOR_EVER: Final = 1 << 62


class _Held:
    """What is at hand of one partition. Times never fall: offsets count, whatever clocks said."""

    __slots__ = ("added", "batches", "given_ms", "seen_ms")

    def __init__(self) -> None:
        #: Each with the time up to which it and those before it reach, and which fetch brought it.
        self.batches: deque[tuple[int, Batch, int]] = deque()
        self.added = 0
        #: The newest time of what was given out, and of all that was seen; what is to come is not older.
        self.given_ms = self.seen_ms = _NEVER

    @property
    def at_most(self) -> int:
        return sum(batch.at_most for _, batch, _ in self.batches)

    @property
    def fetches(self) -> int:
        """How many fetches' batches are at hand."""
        return self.batches[-1][2] - self.batches[0][2] + 1 if self.batches else 0

    def add(self, batches: Iterable[Batch]) -> None:
        self.added += 1
        for batch in batches:
            self.seen_ms = max(self.seen_ms, batch.last_ms)
            self.batches.append((self.seen_ms, batch, self.added))

    def up_to(self, horizon_ms: int) -> list[Batch]:
        """Take out what is no later than a time; a batch that reaches beyond it is cut in two."""
        taken = []
        while self.batches and self.batches[0][0] <= horizon_ms:
            self.given_ms, batch, _ = self.batches.popleft()
            taken.append(batch)
        if self.batches and max(self.given_ms, self.batches[0][1].first_ms) <= horizon_ms:
            until_ms, batch, added = self.batches[0]
            records = batch.records()
            times = rising_times(records, self.given_ms)
            cut = bisect_right(times, horizon_ms)
            if cut:
                self.given_ms = times[cut - 1]
                taken.append(Batch.of(records[:cut]))
            if cut < len(records):
                self.batches[0] = (until_ms, Batch.of(records[cut:]), added)
            else:
                self.batches.popleft()
        return taken


class InStep:
    """Holds fetched records until no partition that is behind could still have older ones.

    Where a partition that is behind brings nothing for `patience_seconds` the others may run up to `skew_ms`
    ahead of it; one of which nothing is known yet then holds nobody up, and after `away_seconds` (its leader
    is gone, say) no partition does. `max_records` bounds what is held: beyond it everything is let go, in
    order, whatever is missing.
    """

    def __init__(
        self,
        *,
        skew_ms: int,
        patience_seconds: float = 1.0,
        away_seconds: float = 30.0,
        max_records: int = 200_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._skew_ms = skew_ms
        self._patience_seconds = patience_seconds
        self._away_seconds = away_seconds
        self._max_records = max_records
        self._clock = clock
        self._held: dict[TP, _Held] = {}
        #: Since when a partition that is behind has had nothing at hand.
        self._missing_since: dict[TP, float] = {}

    @property
    def holding(self) -> bool:
        """Whether anything is held."""
        return any(held.batches for held in self._held.values())

    def add(self, tp: TP, batches: Iterable[Batch]) -> None:
        """Take what was fetched next from a partition."""
        self._held.setdefault(tp, _Held()).add(batches)

    def has_enough(self, tp: TP) -> bool:
        """Whether more of a partition would only lie here: what is at hand waits for others."""
        held = self._held.get(tp)
        return held is not None and held.fetches >= _ENOUGH_FETCHES

    def take(self, behind: Iterable[TP]) -> dict[TP, Sequence[Batch]]:
        """Return what may go now; of each partition at least one batch, or it is left out.

        `behind` are the partitions that have more records than those that were added.
        """
        horizon_ms = min((self._horizon_ms(tp) for tp in behind), default=_FOR_EVER)
        if sum(held.at_most for held in self._held.values()) > self._max_records:
            horizon_ms = _FOR_EVER
        taken = {tp: held.up_to(horizon_ms) for tp, held in self._held.items()}
        return {tp: batches for tp, batches in taken.items() if batches}

    def clear(self) -> None:
        """Forget everything: the positions have changed."""
        self._held.clear()
        self._missing_since.clear()

    def _horizon_ms(self, tp: TP) -> int:
        """Return up to which time others may go without overtaking what a partition still has to bring."""
        held = self._held.get(tp)
        if held is not None and held.batches:
            self._missing_since.pop(tp, None)
            return held.seen_ms
        missing_seconds = self._clock() - self._missing_since.setdefault(tp, self._clock())
        is_waited_for = missing_seconds <= self._patience_seconds
        if held is None:
            return _NEVER if is_waited_for else _FOR_EVER
        if missing_seconds > self._away_seconds:
            return _FOR_EVER
        return held.seen_ms if is_waited_for else held.seen_ms + self._skew_ms
