"""What a fetch brought: batches as the broker stores them, unpacked when their turn comes.

aiokafka unpacks a fetch at once and hands out each record through two generators, copied into an object of
eleven fields. A fetch of a megabyte unpacks to ten; by the time its last record is read none of it is in any
cache of the processor. Here a batch stays packed until an agent is about to read it.
"""

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol, Self

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException


class Record(Protocol):
    """One message as aiokafka unpacks it; which partition it is of, its chunk knows."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Batch:
    """Records of one partition that follow each other. They are given out once.

    `first_ms` and `last_ms` are times within which theirs lie, `next_offset` is the one to go on at.
    """

    __slots__ = ("_packed", "_records", "_since", "first_ms", "last_ms", "next_offset")

    def __init__(self, packed: Any, since: int) -> None:
        """Take a batch of aiokafka's, of which the records from an offset on are wanted."""
        self._packed = packed
        self._records: Sequence[Record] | None = None
        self._since = since
        self.next_offset: int = packed.next_offset
        self.last_ms: int = packed.max_timestamp
        self.first_ms: int = packed.max_timestamp if packed.timestamp_type else packed.first_timestamp

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Return records that are unpacked already, at least one, as a batch."""
        batch = cls.__new__(cls)
        batch._records = records
        times = [record.timestamp for record in records]
        batch.first_ms, batch.last_ms = min(times), max(times)
        batch.next_offset = records[-1].offset + 1
        return batch

    @property
    def at_most(self) -> int:
        """How many records it has at most; compaction leaves out some."""
        return len(self._records) if self._records is not None else self.next_offset - self._since

    def records(self) -> Sequence[Record]:
        """Return the records; a compressed batch is unpacked whole, even to be read from its middle."""
        if self._records is not None:
            return self._records
        since, packed = self._since, self._packed
        if packed.base_offset >= since:
            return list(packed)
        return [record for record in packed if record.offset >= since]


def keep_packed(fetched: dict[Any, Any]) -> None:
    """Make aiokafka's fetch results, by partition, give batches instead of records."""
    for result in fetched.values():
        if type(result) is FetchResult:
            result.getall = partial(_batches, weakref.ref(result))


def _batches(of: "weakref.ref[Any]", max_records: int | None = None) -> list[Batch]:  # noqa: ARG001 (aiokafka's)
    """Return all batches of a fetch result and move the partition's position behind them.

    Control batches (of transactions) are passed over. Raises CorruptRecordException, moving nothing.
    """
    result: Any = of()
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    partition = result._partition_records
    # Nobody runs this generator, which knows the partition: in a circle with it, all that was fetched would
    # wait for the garbage collector.
    partition._records_iterator = None
    offset = partition.next_fetch_offset
    packed = partition._records
    batches: list[Batch] = []
    while packed.has_next():
        batch = packed.next_batch()
        if partition._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {result._topic_partition}")
        if not batch.is_control_batch and batch.next_offset > offset:
            batches.append(_batch(batch, offset))
        offset = max(offset, batch.next_offset)
    partition.next_fetch_offset = offset
    result._update_position()
    result._partition_records = None
    return batches


def _batch(packed: Any, offset: int) -> Batch:
    if hasattr(packed, "max_timestamp"):
        return Batch(packed, max(offset, packed.base_offset))
    # Brokers of long ago wrote batches whose head says nothing of what is in them.
    return Batch.of([record for record in packed if record.offset >= offset])
