"""A chunk: everything that one fetch brought for one partition, handed on as one Faust event.

Faust's cost per event (queue, stream, sensors, acknowledgement) is then paid once per fetch. Nothing is
waited for to fill a chunk, so at low rates a chunk is a single message and arrives as fast as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from faust import Schema
from faust.types import TP


class Record(Protocol):
    """One message as aiokafka delivers it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive messages of one partition, in the order of their offsets; never empty."""

    tp: TP
    records: Sequence[Record]
    #: Which period between two seeks it was fetched in; work on a chunk of an earlier one is void.
    epoch: int
    #: Where the chunk delivered before this one ended (None: this is the first since the seek).
    follows: int | None

    @property
    def next_offset(self) -> int:
        """The offset to commit once the whole chunk is done."""
        return self.records[-1].offset + 1


class ChunkHandler(Protocol):
    """What an agent does with a chunk.

    It queues its output on the outlet and changes its tables in synchronous steps; it may wait between
    them. It returns when all is queued: only then is the chunk done. An exception is a bug and stops the
    worker before anything of the chunk is committed.
    """

    async def __call__(self, chunk: Chunk) -> None:
        """Work on one chunk."""


class PassThrough(Schema[Any, Any]):
    """Hands a chunk through Faust's decoding as it is."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> Any:  # noqa: ARG002 (Faust's signature)
        """Return the key as it stands in the message."""
        return message.key

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:  # noqa: ARG002 (Faust's signature)
        """Return the value, which is a chunk, as it stands in the message."""
        return message.value


class Observer(Protocol):
    """What the engine tells whoever counts and times it; every call is cheap and never raises."""

    def chunk(self, agent: str, records: int, seconds: float) -> None:
        """Tell that an agent finished a chunk."""

    def flush_step(self, step: str, seconds: float) -> None:
        """Tell that a step of a flush (outlet, changelog, store, commit) is done."""

    def flushed_keys(self, keys: int) -> None:
        """Tell how many keys a flush wrote."""

    def committed(self) -> None:
        """Tell that offsets were committed, just now."""

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Tell how far a partition's done offset is behind its end."""

    def released(self, topic: str, partition: int) -> None:
        """Tell that a partition was given up: its series end."""
