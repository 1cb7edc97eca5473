"""A chunk: everything that one fetch brought for a partition, handed on as one Faust event.

Faust's cost per event (queue, stream, sensors, acknowledgement) is then paid once per fetch. Nothing is
waited for to fill a chunk, so at low rates a chunk is a single message and arrives as fast as one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from faust import Schema
from faust.types import TP

from engine.merging import Piece, merged
from engine.unpacking import Batch, Record

__all__ = ["MESSAGES_AT_ONCE", "Chunk", "ChunkHandler", "Observer", "PassThrough", "Piece", "Record", "Span"]


class Span(NamedTuple):
    """Which part of a partition a chunk has."""

    tp: TP
    #: Where what was delivered before it ended (None: it is the first since the seek).
    follows: int | None
    #: The offset to commit once the chunk is done.
    next_offset: int


class Chunk:
    """Messages that are worked on together, in order for each of their partitions.

    Chunks of topics that are read in step may have messages of several partitions, all others have one.
    """

    __slots__ = ("_batches", "epoch", "newest_ms", "spans", "unpacked")

    def __init__(self, batches: Mapping[TP, Sequence[Batch]], spans: tuple[Span, ...], epoch: int) -> None:
        self._batches = batches
        self.spans = spans
        #: Which period between two seeks it was fetched in; work on a chunk of an earlier one is void.
        self.epoch = epoch
        #: Kafka's time of the newest message.
        self.newest_ms = max(batch.last_ms for of_one in batches.values() for batch in of_one)
        #: How many messages were given out so far.
        self.unpacked = 0

    @property
    def tp(self) -> TP:
        """The partition of a chunk that has one only."""
        (span,) = self.spans
        return span.tp

    def pieces(self) -> Iterator[Piece]:
        """Yield the messages, oldest first, as many as an agent should work on before it lets others work.

        They are unpacked on the way and given out once.
        """
        for piece in merged(self._batches):
            for begin in range(0, len(piece.records), MESSAGES_AT_ONCE):
                part = piece.part(begin, begin + MESSAGES_AT_ONCE)
                self.unpacked += len(part.records)
                yield part


#: How many messages an agent should work on before it lets others work, which takes a few milliseconds.
MESSAGES_AT_ONCE: Final = 256


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

    def chunk(self, agent: str, chunk: Chunk, seconds: float) -> None:
        """Tell that an agent finished a chunk."""

    def flush_step(self, step: str, seconds: float) -> None:
        """Tell that a step of a flush (outlet, changelog, store, commit) is done."""

    def flushed_keys(self, keys: int) -> None:
        """Tell how many keys a flush wrote."""

    def committed(self) -> None:
        """Tell that offsets were committed, just now."""
