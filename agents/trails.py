"""The traces that messages belong to, handed on to what is made of them; only there when tracing is on."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from engine.chunks import Record
from models.tracing import TRACEPARENT, traceparent_of

Trace: TypeAlias = Sequence[tuple[str, bytes]]
"""The headers that hand a trace on; none where there is none."""

MOST_LINKS: Final = 128
"""Of how many messages of a chunk the traces are remembered: OpenTelemetry takes so many links by default."""


class Trail:
    """Follows the messages of an agent, which works on one chunk at a time."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def follow(self, message: Record) -> Trace:
        """Return the headers that hand a message's trace on, none where it has none, and remember it."""
        traceparent = traceparent_of(message.headers)
        if traceparent is None:
            return ()
        if len(self._seen) < MOST_LINKS:
            self._seen[traceparent] = None
        return ((TRACEPARENT, traceparent),)

    def take(self) -> list[bytes]:
        """Return what was remembered since the last time, each once."""
        seen, self._seen = self._seen, {}
        return list(seen)
