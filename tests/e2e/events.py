"""Raw messages for end-to-end tests."""

import random
from collections.abc import Iterable, Iterator

from app.semester import Options, RawEvent, Semester
from tests.e2e.harness import RAW_PARTITIONS, Raw


def semester(
    seed: int, events: int, *, poison: float = 0.02, disorder_seconds: float = 0.0
) -> list[RawEvent]:
    """Return a semester of about so many events to its end, some of them twice, some of them unreadable."""
    options = Options(
        seed=seed, events=events, poison=poison, duplicates=0.02, disorder_seconds=disorder_seconds
    )
    return list(Semester(options).events())


def anywhere(events: Iterable[RawEvent], seed: int) -> Iterator[Raw]:
    """Place events as bridges do: on any partition, under a key that says nothing about the student."""
    chance = random.Random(seed)
    for event in events:
        partition = chance.randrange(RAW_PARTITIONS)
        yield Raw(event.value, partition, chance.randbytes(8), [("bridge", b"sqs")])


def by_student(events: Iterable[RawEvent], seed: int) -> Iterator[Raw]:
    """Place all of a student's events on one partition, in the order given."""
    chance = random.Random(seed)
    places: dict[bytes, int] = {}
    for event in events:
        if event.student is None:
            yield Raw(event.value, chance.randrange(RAW_PARTITIONS))
        else:
            partition = places.setdefault(event.student, chance.randrange(RAW_PARTITIONS))
            yield Raw(event.value, partition)
