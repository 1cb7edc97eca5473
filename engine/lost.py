"""Where a partition no longer has what is to be read next: retention took it, or the topic was made anew.

aiokafka would go on from somewhere else and say nothing. Here it ends the worker, or, where somebody has
said so, goes on from the first message there is, loudly.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition

from engine.errors import EngineError


@dataclass(frozen=True, slots=True)
class Gap:
    """A partition that does not have the offset that is to be read next."""

    topic: str
    partition: int
    wanted: int
    """The committed offset, or that of the next fetch."""
    first: int
    """The first offset that it has."""
    end: int
    """The offset after the last one."""

    @property
    def lost(self) -> int | None:
        """How many messages were removed unread, at most; None where the topic is another one."""
        return self.first - self.wanted if self.wanted < self.first else None

    def __str__(self) -> str:
        place = f"partition {self.partition} of {self.topic}"
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


async def find_gaps(consumer: Offsets, wanted: Mapping[TopicPartition, int]) -> list[Gap]:
    """Return the partitions that do not have the offset that is wanted next; their end is one they have."""
    partitions = list(wanted)
    if not partitions:
        return []
    # Both at once: they wait behind a fetch that the broker holds, and one wait is enough.
    firsts, ends = await asyncio.gather(
        consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    )
    return [
        Gap(partition.topic, partition.partition, offset, firsts[partition], ends[partition])
        for partition, offset in sorted(wanted.items())
        if not firsts[partition] <= offset <= ends[partition]
    ]
