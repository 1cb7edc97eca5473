"""A request on a connection that is going ends as aiokafka's callers expect, on either kind of event loop."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from engine.connections import mend_connections

#: Correlation id 1, no error, one API with its lowest and its highest version: Metadata, 0 to 1.
API_VERSIONS = struct.pack(">ihihhh", 1, 0, 1, 3, 0, 1)


async def request_after(turns: int) -> None:
    """Ask for metadata, so many turns of the loop after the connection has broken."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the request that every connection begins with, and no other."""
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        await reader.readexactly(size)
        writer.write(struct.pack(">i", len(API_VERSIONS)) + API_VERSIONS)
        with suppress(ConnectionError):
            await reader.read()
            writer.close()
            await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        connection = AIOKafkaConnection(host, port, request_timeout_ms=5_000)
        await connection.connect()
        connection._writer.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            await connection.send(MetadataRequest([]))
        finally:
            await left.wait()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_request_after_the_connection_broke_is_a_connection_error(
    new_loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    mend_connections()
    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(KafkaConnectionError):
        runner.run(request_after(turns))
