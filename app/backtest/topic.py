"""Recorded events of a topic: a range of Kafka's time, merged over the partitions in its order.

What is read is what lies there when the reading begins, in no group, so that no worker is disturbed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import KafkaError

from app.broker import partitions_of, reader
from app.errors import BrokerError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from app.settings import Settings

STALLED_SECONDS: Final = 15.0
"""Without a single record for so long, the reading is given up."""
_FETCH_RECORDS: Final = 2_000
"""Most records of a partition that wait for those of another."""


class Message(NamedTuple):
    """A message and its time; that of one before it in its partition, where that is later."""

    at_ms: int
    timestamp: int
    """Kafka's, in milliseconds since 1970."""
    value: bytes | None


Range = dict["TopicPartition", tuple[int, int]]
"""By partition the first offset, and the one after the last."""


async def read_range(
    settings: Settings,
    topic: str,
    since: datetime | None,
    until: datetime | None,
    *,
    timeout_seconds: float,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AsyncIterator[list[Message]]:
    """Yield the messages from `since` to before `until`, by Kafka's time, in order, many at a time.

    Without a bound, from the first that is kept, or to the last. Calls `progress` with the offsets passed and
    their number. Raises TopicsError when the topic does not exist, and BrokerError when the broker is not
    reached or stops to answer.
    """
    partitions = await partitions_of(settings, [topic], timeout_seconds)
    try:
        async with reader(settings, partitions, timeout_seconds) as consumer:
            ranges = await _ranges(consumer, partitions, since, until)
            for partition, (first, _) in ranges.items():
                consumer.seek(partition, first)
            async for messages in _in_order(consumer, ranges, progress):
                yield messages
    except KafkaError as error:
        raise BrokerError(f"The topic {topic} could not be read: {error}.") from error


async def _ranges(
    consumer: AIOKafkaConsumer,
    partitions: list[TopicPartition],
    since: datetime | None,
    until: datetime | None,
) -> Range:
    beginnings = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)

    async def offsets(
        moment: datetime | None, otherwise: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        if moment is None:
            return otherwise
        at_ms = max(0, round(moment.timestamp() * 1000))  # Kafka knows no time before 1970
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
        # None where no message is so late
        return {each: ends[each] if at is None else at.offset for each, at in found.items()}

    firsts, lasts = await offsets(since, beginnings), await offsets(until, ends)
    return {each: (firsts[each], lasts[each]) for each in partitions if firsts[each] < lasts[each]}


async def _in_order(
    consumer: AIOKafkaConsumer, ranges: Range, progress: Callable[[int, int], None]
) -> AsyncIterator[list[Message]]:
    held: dict[TopicPartition, list[Message]] = {partition: [] for partition in ranges}
    behind = set(ranges)
    total = sum(last - first for first, last in ranges.values())
    while behind or any(held.values()):
        if missing := [partition for partition in behind if not held[partition]]:
            await _fetch(consumer, missing, ranges, held, behind)
            positions = [(ranges[each][1], await consumer.position(each)) for each in behind]
            progress(total - sum(end - position for end, position in positions), total)
        if all(held[partition] for partition in behind):
            yield _take(held, behind)


async def _fetch(
    consumer: AIOKafkaConsumer,
    missing: list[TopicPartition],
    ranges: Range,
    held: dict[TopicPartition, list[Message]],
    behind: set[TopicPartition],
) -> None:
    """Fetch more of some partitions that are behind and of which nothing is held."""
    fetched = await consumer.getmany(
        *missing, timeout_ms=round(STALLED_SECONDS * 1000), max_records=_FETCH_RECORDS
    )
    passed = False
    for partition in missing:
        end = ranges[partition][1]
        records = [record for record in fetched.get(partition, ()) if record.offset < end]
        # Within a partition offsets count, whatever the producers' clocks said.
        times = accumulate((record.timestamp for record in records), max)
        held[partition] = [
            Message(at, record.timestamp, record.value) for at, record in zip(times, records, strict=True)
        ]
        if await consumer.position(partition) >= end:  # also past what no reader is given, such as markers
            behind.discard(partition)
            passed = True
    if not fetched and not passed:
        raise BrokerError(
            f"The broker gave nothing of {missing[0].topic} for {STALLED_SECONDS:g} s, before its end."
        )


def _take(held: dict[TopicPartition, list[Message]], behind: set[TopicPartition]) -> list[Message]:
    """Take out what is no later than anything that is still to come, oldest first."""
    horizon_ms = min((held[partition][-1].at_ms for partition in behind), default=None)
    ready: list[Message] = []
    for partition, messages in held.items():
        cut = (
            len(messages)
            if horizon_ms is None
            else bisect_right(messages, horizon_ms, key=lambda message: message.at_ms)
        )
        ready += messages[:cut]
        held[partition] = messages[cut:]
    return sorted(ready, key=lambda message: message.at_ms)
