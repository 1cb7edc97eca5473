"""Who may see a page, and how much one client may ask of the HTTP server.

A slow, endless or repeated request must cost the worker next to nothing: it shares its loop with the agents.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from typing import Final, cast

from pydantic import SecretStr

MAX_REQUEST_BYTES: Final = 16 * 1024
"""Line, headers and all; no page reads a body."""
MAX_CONNECTIONS: Final = 64
"""Open at the same time. What comes beyond is closed at once."""
CONNECTION_SECONDS: Final = 10.0
"""How long one connection, which is one request, may take from its first byte to the last of the answer."""
_SCHEME: Final = b"bearer "


class Tokens:
    """The bearer tokens that open pages with student data; without any, those pages stay shut."""

    def __init__(self, tokens: Iterable[SecretStr | None] = ()) -> None:
        self._tokens = [token.get_secret_value().encode() for token in tokens if token is not None]

    def open_for(self, authorization: str | None) -> bool:
        """Tell whether an `Authorization` header has one of the tokens; how long that takes tells nothing."""
        given = (authorization or "").encode("utf-8", "surrogateescape")
        if given[: len(_SCHEME)].lower() != _SCHEME:
            return False
        token = given[len(_SCHEME) :].strip()
        # All are compared, so that not even the time tells which one was nearly right.
        return sum(hmac.compare_digest(token, known) for known in self._tokens) > 0


class Door(asyncio.Protocol):
    """Stands between a connection and the protocol that answers it, and shuts it when it takes too much."""

    def __init__(self, inner: asyncio.Protocol, inside: set[Door]) -> None:
        self._inner = inner
        self._inside = inside
        self._received_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in where there is room."""
        connection = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if len(self._inside) >= MAX_CONNECTIONS:
            connection.abort()
            return
        self._inside.add(self)
        self._transport = connection
        self._closing = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, connection.abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what was received, up to the limit."""
        self._received_bytes += len(data)
        if self._transport is None:
            return
        if self._received_bytes > MAX_REQUEST_BYTES:
            self._transport.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand on that nothing more will come."""
        return self._inner.eof_received() if self._transport is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        if self._closing is not None:
            self._closing.cancel()
        self._inside.discard(self)
        if self._transport is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand on that the client reads too slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the client has caught up."""
        self._inner.resume_writing()
