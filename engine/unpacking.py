"""What a fetch brought, unpacked a batch at a time.

aiokafka hands out each record through two generators and copies it into an object of eleven fields; for an
event that is only counted and dropped that is most of the work. This is `FetchResult.getall` without either.
"""

from functools import partial
from typing import Any

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException

from engine.chunks import Record


def unpack_whole(fetched: dict[Any, Any]) -> None:
    """Make aiokafka's fetch results, by partition, give their records a batch at a time."""
    for result in fetched.values():
        if type(result) is FetchResult:
            result.getall = partial(_unpack, result)


def _unpack(result: Any, max_records: int | None = None) -> list[Record]:  # noqa: ARG001 (aiokafka's)
    """Return all records of a fetch result and move the partition's position behind them.

    Control batches (of transactions) are passed over. Raises CorruptRecordException, moving nothing.
    """
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    partition = result._partition_records
    offset = partition.next_fetch_offset
    batches = partition._records
    records: list[Record] = []
    while batches.has_next():
        batch = batches.next_batch()
        if partition._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {result._topic_partition}")
        if not batch.is_control_batch:
            # A compressed batch comes whole, even when it was asked for from its middle.
            records.extend([record for record in batch if record.offset >= offset])
        offset = batch.next_offset
    partition.next_fetch_offset = offset
    result._update_position()
    result._partition_records = None
    return records
