"""The simulation's clock: what happens next, in order of time."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any


class Agenda:
    """Actions with the time at which they are due; memory follows what is planned, not what has happened.

    Two actions of the same millisecond run in the order in which they were planned, so a run never depends
    on anything but its inputs.
    """

    __slots__ = ("_entries", "_planned", "now_ms")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._entries: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0

    def at(self, time_ms: float, action: Callable[..., None], *arguments: object) -> None:
        """Plan `action(*arguments)` for `time_ms`; what should have happened already happens now."""
        self._planned += 1
        heappush(self._entries, (max(int(time_ms), self.now_ms), self._planned, action, arguments))

    def run(self, until_ms: int) -> Iterator[int]:
        """Run every action due before `until_ms`, each before its time is yielded."""
        entries = self._entries
        while entries and entries[0][0] < until_ms:
            self.now_ms, _, action, arguments = heappop(entries)
            action(*arguments)
            yield self.now_ms
