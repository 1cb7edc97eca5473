"""What was sent so far, for the progress bar and the summary."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.semester.envelope import RawEvent


@dataclass(slots=True)
class Tally:
    """Counts of what was handed to a sink. Repeats count under their kind, and once more as repeats."""

    kinds: Counter[str] = field(default_factory=Counter)
    poison: Counter[str] = field(default_factory=Counter)
    """By the reason for which it must be rejected."""
    repeats: int = 0
    value_bytes: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    """Greatest event time so far, in epoch milliseconds."""
    started: float = field(default_factory=time.perf_counter)

    @property
    def events(self) -> int:
        """All events, repeats and poison included."""
        return self.kinds.total()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return max(1e-9, time.perf_counter() - self.started)

    def add(self, events: Sequence[RawEvent]) -> None:
        """Count events, at least one."""
        self.kinds.update([event.kind for event in events])
        self.poison.update([event.name for event in events if event.kind == "poison"])
        self.repeats += sum([event.repeated for event in events])
        self.value_bytes += sum([len(event.value) for event in events if event.value])
        if self.first_ms is None:
            self.first_ms = events[0].event_time_ms
        newest_ms = max([event.event_time_ms for event in events])
        self.last_ms = newest_ms if self.last_ms is None else max(self.last_ms, newest_ms)
