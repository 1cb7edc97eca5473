"""Dead letters as they lie in their topic: found by what their headers say, read in the order of time."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.broker import partitions_of, reader
from app.errors import BrokerError, GradewatchError
from app.logs import logger
from models.headers import Failure, failure_of

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from app.settings import Settings

POLL_MS: Final = 500
STALLED_SECONDS: Final = 15.0
"""Without a single message for so long, the reading is given up."""

log = logger()


class Position(NamedTuple):
    """Where a message lies in its topic: `3:17` is offset 17 of partition 3."""

    partition: int
    offset: int

    @classmethod
    def read(cls, text: str) -> Position:
        """Take a text apart; ValueError when it is no position."""
        match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})", text)
        if match is None:
            raise ValueError(f"{text!r} is not PARTITION:OFFSET, such as 3:17")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the message as it came, and why it is here."""

    position: Position
    timestamp_ms: int
    """When it was written here, in Kafka's time."""
    failure: Failure
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    """The message's own and, after them, those that say why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are asked for; all of it must hold, and what is empty or None asks for nothing."""

    positions: frozenset[Position] = frozenset()
    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    """When they were written to the topic, inclusive."""
    until: datetime | None = None
    """Exclusive."""
    raw_topic: str | None = None
    raw_partition: int | None = None
    raw_from: int | None = None
    """The first offset of where they came from, inclusive."""
    raw_to: int | None = None
    """The last one, inclusive."""

    def has(self, letter: Letter) -> bool:
        """Tell whether a dead letter is one of them."""
        failure = letter.failure
        return (
            (not self.positions or letter.position in self.positions)
            and (not self.reasons or failure.reason in self.reasons)
            and (self.since is None or letter.timestamp_ms >= self.since.timestamp() * 1000)
            and (self.until is None or letter.timestamp_ms < self.until.timestamp() * 1000)
            and (self.raw_topic is None or failure.topic == self.raw_topic)
            and (self.raw_partition is None or failure.partition == self.raw_partition)
            and (self.raw_from is None or (failure.offset is not None and failure.offset >= self.raw_from))
            and (self.raw_to is None or (failure.offset is not None and failure.offset <= self.raw_to))
        )


Progress = Callable[[int, int], None]
"""Told how many offsets have been passed, and of how many."""


class Archive:
    """The topic of dead letters as it was when it was opened: what comes later is not read."""

    def __init__(
        self,
        topic: str,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        self.topic = topic
        self._consumer = consumer
        self._begins = begins
        self._ends = ends

    def look_for(self, position: Position) -> None:
        """Raise GradewatchError when the topic has nothing at this position."""
        partition = TopicPartition(self.topic, position.partition)
        if partition not in self._ends:
            raise GradewatchError(
                f"{self.topic} has no partition {position.partition}; it has 0 to {len(self._ends) - 1}."
            )
        begin, end = self._begins[partition], self._ends[partition]
        if not begin <= position.offset < end:
            raise GradewatchError(
                f"There is no dead letter at {position}: partition {position.partition} of {self.topic} has "
                + (f"the offsets {begin} to {end - 1} now." if begin < end else "nothing in it now.")
            )

    async def letter_at(self, position: Position) -> Letter:
        """Return one dead letter; GradewatchError when there is none at this position."""
        self.look_for(position)
        async with aclosing(self.read(Wanted(positions=frozenset({position})))) as letters:
            async for letter in letters:
                return letter
        raise GradewatchError(
            f"What lies at {position} of {self.topic} is no dead letter: it has no reason in its headers."
        )

    async def read(
        self, wanted: Wanted, progress: Progress = lambda _done, _all: None
    ) -> AsyncGenerator[Letter]:
        """Yield the dead letters that are wanted, the oldest first.

        Messages that are no dead letters, for nobody wrote a reason to them, are logged and passed over.
        Raises BrokerError when the broker stops to answer.
        """
        try:
            async for record in self._merged(await self._ranges(wanted), progress):
                failure = failure_of(record.headers)
                if failure is None:
                    log.warning(
                        "dead_letter.unreadable",
                        topic=record.topic,
                        partition=record.partition,
                        offset=record.offset,
                    )
                    continue
                letter = Letter(
                    Position(record.partition, record.offset),
                    record.timestamp,
                    failure,
                    record.key,
                    record.value,
                    record.headers,
                )
                if wanted.has(letter):
                    yield letter
        except KafkaError as error:
            raise BrokerError(f"The dead letters in {self.topic} could not be read: {error}.") from error

    async def _ranges(self, wanted: Wanted) -> dict[TopicPartition, tuple[int, int]]:
        """Return what to read of each partition that may have something that is wanted."""
        ranges = {p: (begin, self._ends[p]) for p, begin in self._begins.items()}
        if wanted.positions:
            of = {p: [at.offset for at in wanted.positions if at.partition == p.partition] for p in ranges}
            ranges = {
                p: (max(begin, min(of[p])), min(end, max(of[p]) + 1))
                for p, (begin, end) in ranges.items()
                if of[p]
            }
        if wanted.since is not None and ranges:
            since_ms = max(0, int(wanted.since.timestamp() * 1000))  # Kafka knows no time before 1970
            found = await self._consumer.offsets_for_times(dict.fromkeys(ranges, since_ms))
            ranges = {
                p: (max(ranges[p][0], at.offset), ranges[p][1]) for p, at in found.items() if at is not None
            }
        return {p: (begin, end) for p, (begin, end) in ranges.items() if begin < end}

    async def _merged(
        self, ranges: Mapping[TopicPartition, tuple[int, int]], progress: Progress
    ) -> AsyncGenerator[ConsumerRecord]:
        """Yield messages from all partitions in the order of Kafka's time; each partition in its own order.

        A partition of which something is in hand is paused, so that no more than one fetch of each is held.
        """
        consumer = self._consumer
        consumer.pause(*self._ends)
        for partition, (begin, _) in ranges.items():
            consumer.seek(partition, begin)
        passed = {partition: begin for partition, (begin, _) in ranges.items()}
        first, total = sum(passed.values()), sum(end - begin for begin, end in ranges.values())
        in_hand: dict[TopicPartition, deque[ConsumerRecord]] = {partition: deque() for partition in ranges}
        next_up: list[tuple[int, TopicPartition]] = []  # a heap: the timestamp of what comes next of each
        waiting = set(ranges)
        deadline = time.monotonic() + STALLED_SECONDS
        while waiting or next_up:
            if waiting:
                consumer.resume(*waiting)
                fetched = await consumer.getmany(*waiting, timeout_ms=POLL_MS)
                before = sum(passed.values())
                for partition in list(waiting):
                    _, end = ranges[partition]
                    records = [record for record in fetched.get(partition, ()) if record.offset < end]
                    passed[partition] = min(await consumer.position(partition), end)
                    if records:
                        in_hand[partition].extend(records)
                        heapq.heappush(next_up, (records[0].timestamp, partition))
                    if records or passed[partition] == end:
                        waiting.discard(partition)
                        consumer.pause(partition)
                if sum(passed.values()) > before:
                    deadline = time.monotonic() + STALLED_SECONDS
                    progress(sum(passed.values()) - first, total)
                elif time.monotonic() > deadline:
                    raise BrokerError(f"The broker gave nothing of {self.topic} for {STALLED_SECONDS:g} s.")
                continue
            _, partition = heapq.heappop(next_up)
            records_left = in_hand[partition]
            yield records_left.popleft()
            deadline = time.monotonic() + STALLED_SECONDS
            if records_left:
                heapq.heappush(next_up, (records_left[0].timestamp, partition))
            elif passed[partition] < ranges[partition][1]:
                waiting.add(partition)


@asynccontextmanager
async def archive(settings: Settings, timeout_seconds: float) -> AsyncGenerator[Archive]:
    """Open the topic of dead letters; raises TopicsError without it, BrokerError without a broker."""
    topic = settings.topology().dead_letters.name
    partitions = await partitions_of(settings, [topic], timeout_seconds)
    async with reader(settings, partitions, timeout_seconds) as consumer:
        try:
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
        except KafkaError as error:
            raise BrokerError(f"The dead letters in {topic} could not be read: {error}.") from error
        yield Archive(topic, consumer, begins, ends)
