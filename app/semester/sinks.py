"""Where a semester goes: lines of a file, or a topic."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from app.broker import partitions_to_write_to, start_client
from app.errors import BrokerError, GradewatchError
from app.semester.envelope import RawEvent
from app.semester.options import chance
from app.semester.semester import Semester
from app.semester.tally import Tally

if TYPE_CHECKING:
    from app.settings import Settings

PartitionBy = Literal["random", "student"]
Progress = Callable[[Tally], None]


class Output(Protocol):
    """What is needed of a file that is open for writing."""

    def write(self, data: bytes, /) -> object:
        """Write all the bytes."""

    def flush(self) -> object:
        """Let readers see what was written."""


_CHUNK: Final = 1000
_CHUNKS_PER_SECOND: Final = 50
"""How often a limited rate sends something."""
_DRAIN_EVENTS: Final = 20_000
"""So many events may be on their way to the broker before all are waited for."""


class OutputError(GradewatchError):
    """A file could not be written."""


@contextmanager
def open_output(path: Path) -> Iterator[Output]:
    """Open a file for writing, compressed when its name ends in .gz; the same lines give the same bytes."""
    try:
        with path.open("wb") as file:
            if path.suffix == ".gz":  # neither name nor time goes into the header
                with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                    yield packed
            else:
                yield file
    except BrokenPipeError:  # whoever reads has had enough: click ends the program
        raise
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror}.") from error


def write_lines(semester: Semester, file: Output, rate: float | None, progress: Progress) -> Tally:
    """Write a semester as lines, one event each.

    A message without bytes, tombstones included, becomes an empty line. No event has a newline in it.
    """
    tally = Tally()
    for events in _chunks(semester.events(), rate):
        file.write(b"".join([b"%b\n" % (event.value or b"") for event in events]))
        tally.add(events)
        progress(tally)
        pause_seconds = _ahead_seconds(tally, rate)
        if pause_seconds > 0:
            file.flush()
            time.sleep(pause_seconds)
    return tally


async def write_topic(
    semester: Semester,
    settings: Settings,
    topic: str,
    partition_by: PartitionBy,
    rate: float | None,
    progress: Progress,
    *,
    timeout_seconds: float,
) -> Tally:
    """Send a semester to a topic, without keys, and return when the broker has acknowledged all of it.

    `random` places events as bridges do, the same way for the same seed and partition count; `student` puts
    all events about one student on one partition, where a key of theirs would, in order. The messages'
    timestamps are the time of sending. Raises BrokerError when the broker can't be reached or refuses, and
    TopicsError when the topic does not exist: it is never created here.
    """
    from engine.errors import DeliveryError
    from engine.outlet import Outlet  # costs the import of Faust

    partitions = await partitions_to_write_to(settings, topic, timeout_seconds)
    outlet = Outlet(
        settings.kafka_client_options(),
        {topic: partitions},
        linger_seconds=0.02,
        compression="lz4",
        delivery_timeout_seconds=settings.delivery_timeout_seconds,
    )
    await start_client(outlet, settings.brokers, timeout_seconds)
    place = _placing(
        semester.options.seed,
        partitions,
        partition_by,
        lru_cache(maxsize=1 << 16)(partial(outlet.partition_for, topic)),
    )
    tally = Tally()
    undrained = 0
    try:
        for events in _chunks(semester.events(), rate):
            for event in events:
                outlet.send(topic, None, event.value, partition=place(event))
            tally.add(events)
            progress(tally)
            undrained += len(events)
            if undrained >= _DRAIN_EVENTS:
                await outlet.drain()
                undrained = 0
            await asyncio.sleep(max(0.0, _ahead_seconds(tally, rate)))  # and let the outlet send
        await outlet.drain()
    except DeliveryError as error:
        raise BrokerError(f"The broker did not take all events: {error}.") from error
    finally:
        await outlet.stop()
    return tally


def _placing(
    seed: int, partitions: int, partition_by: PartitionBy, partition_of: Callable[[bytes], int]
) -> Callable[[RawEvent], int]:
    """Return what tells an event's partition."""
    rng = chance(seed, "partitions")
    known: dict[bytes, int] = {}

    def place(event: RawEvent) -> int:
        if partition_by == "random" or event.student is None:
            return int(rng.random() * partitions)
        partition = known.get(event.student)
        if partition is None:
            partition = known[event.student] = partition_of(event.student)
        return partition

    return place


def _chunks(events: Iterator[RawEvent], rate: float | None) -> Iterator[list[RawEvent]]:
    size = _CHUNK if rate is None else max(1, min(_CHUNK, int(rate / _CHUNKS_PER_SECOND)))
    while chunk := list(islice(events, size)):
        yield chunk


def _ahead_seconds(tally: Tally, rate: float | None) -> float:
    """Return how long to wait until no more than `rate` events per second have been sent."""
    return 0.0 if rate is None else tally.events / rate - tally.seconds
