"""How events travel: some come twice, some late, and between them lies what nobody can read."""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from random import Random

from app.semester.envelope import RawEvent
from app.semester.options import Options, chance
from app.semester.poison import Poisoner

LATE_SHARE = 0.1
"""Share of the events that come late where disorder is asked for: by up to so much, evenly spread."""


def deliver(events: Iterable[RawEvent], options: Options, poisoner: Poisoner) -> Iterator[RawEvent]:
    """Yield events, given in order of time, as they arrive.

    An event comes at most `disorder_seconds` after one that is newer; without disorder a repeat follows its
    original at once. Memory holds what is on its way.
    """
    disorder_ms = options.disorder_seconds * 1000
    repeats_per_event = options.duplicates / options.real_share
    poison_per_event = options.poison / options.real_share
    rng = chance(options.seed, "delivery")
    on_the_way: list[tuple[float, int, RawEvent]] = []
    sent = 0
    for event in events:
        now_ms = event.event_time_ms
        while on_the_way and on_the_way[0][0] <= now_ms:
            yield heappop(on_the_way)[2]
        if disorder_ms and rng.random() < LATE_SHARE:
            sent += 1
            heappush(on_the_way, (now_ms + disorder_ms * rng.random(), sent, event))
        else:
            yield event
        for _ in range(_count(rng, repeats_per_event)):
            repeat = event._replace(repeated=True)
            if disorder_ms:
                sent += 1
                heappush(on_the_way, (now_ms + disorder_ms * rng.random(), sent, repeat))
            else:
                yield repeat
        for _ in range(_count(rng, poison_per_event)):
            yield poisoner.make(now_ms)
    while on_the_way:
        yield heappop(on_the_way)[2]


def _count(rng: Random, mean: float) -> int:
    """Draw a whole number with a mean, as close to it as whole numbers are."""
    return int(mean + rng.random()) if mean else 0
