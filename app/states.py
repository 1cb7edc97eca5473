"""A student's state as the changelog has it: read without asking, or disturbing, a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from app.broker import partitions_of, reader
from app.errors import BrokerError, GradewatchError
from tables.state import StudentState, decode_state

if TYPE_CHECKING:
    from app.settings import Settings

STALLED_SECONDS: Final = 15.0
"""Without a single record for so long, the reading is given up."""
POLL_MS: Final = 500


async def read_state(
    settings: Settings,
    key: bytes,
    timeout_seconds: float,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> StudentState | None:
    """Return what is kept of the student with this message key, None when nothing is.

    Reads one partition of the table's changelog to the end that it has now, calling `progress` with the
    offsets passed and their number. A worker writes with each commit, so this is as old as the last one.
    Raises BrokerError when the broker is not reached or stops to answer.
    """
    changelog = settings.topology().scores_changelog.name
    partitions = await partitions_of(settings, [changelog], timeout_seconds)
    # aiokafka's default is Java's: murmur2 of the key, as everything per student is partitioned.
    partition = DefaultPartitioner()(key, partitions, partitions)
    value: bytes | None = None
    try:
        async with reader(settings, [partition], timeout_seconds) as consumer:
            start = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            position = start
            deadline = time.monotonic() + STALLED_SECONDS
            while position < end:
                for record in (await consumer.getmany(partition, timeout_ms=POLL_MS)).get(partition, ()):
                    if record.key == key:
                        value = record.value
                passed = await consumer.position(partition)
                if passed > position:
                    position, deadline = passed, time.monotonic() + STALLED_SECONDS
                    progress(position - start, end - start)
                elif time.monotonic() > deadline:
                    raise BrokerError(
                        f"The broker gave nothing of {changelog} for {STALLED_SECONDS:g} s, "
                        f"{end - position} records before its end."
                    )
    except KafkaError as error:
        raise BrokerError(f"The changelog {changelog} could not be read: {error}.") from error
    if value is None:
        return None
    try:
        return decode_state(value)
    except ValueError as error:
        raise GradewatchError(f"What {changelog} has of this student cannot be read: {error}.") from error
