"""Where a partition no longer has what is to be read next: retention took it, or the topic was made anew.

aiokafka would go on from somewhere else and say nothing. Here it ends the worker, or, where somebody has
said so, goes on from the first message there is, loudly.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

from aiokafka import TopicPartition

from engine.errors import EngineError


@dataclass(frozen=True, slots=True)
class Gap:
    """A partition that does not have the offset that is to be read next."""

    topic: str
    partition: int
    wanted: int | None
    """The committed offset, or that of the next fetch; None where the group has forgotten it."""
    first: int
    """The first offset that it has."""
    end: int
    """The offset after the last one."""

    @property
    def lost(self) -> int | None:
        """How many messages were removed unread, at most; None where the topic is another one, or unknown."""
        return self.first - self.wanted if self.wanted is not None and self.wanted < self.first else None

    def __str__(self) -> str:
        place = f"partition {self.partition} of {self.topic}"
        if self.wanted is None:
            return (
                f"{place} begins at offset {self.first} now, and the broker has forgotten how far it was "
                "read, as it does when a group is away for longer than its offsets.retention.minutes"
            )
        if self.lost is not None:
            return (
                f"{place} begins at offset {self.first} now, but offset {self.wanted} is to be read next; "
                f"messages removed before they were read: {self.lost}"
            )
        return (
            f"{place} ends at offset {self.end}, before offset {self.wanted}, which is to be read next: the "
            "topic was deleted and made anew, or its end was lost"
        )


class OffsetsLostError(EngineError):
    """What is to be read next is not there any more."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        super().__init__("; ".join(map(str, gaps)))
        self.gaps = tuple(gaps)


class Offsets(Protocol):
    """What aiokafka's consumer tells about partitions."""

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the first offset of each."""

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset after the last one of each."""


async def find_gaps(consumer: Offsets, wanted: Mapping[TopicPartition, int | None]) -> list[Gap]:
    """Return the partitions that do not have the offset that is wanted next; their end is one they have.

    Where that offset was forgotten (None), a partition that doesn't begin at 0 has lost something.
    """
    partitions = list(wanted)
    if not partitions:
        return []
    # Both at once: they wait behind a fetch that the broker holds, and one wait is enough.
    firsts, ends = await asyncio.gather(
        consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    )
    return [
        Gap(partition.topic, partition.partition, offset, firsts[partition], ends[partition])
        for partition, offset in sorted(wanted.items(), key=itemgetter(0))
        if not firsts[partition] <= (offset or 0) <= ends[partition]
    ]
