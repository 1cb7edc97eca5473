"""What aiokafka's connections lack under uvloop.

A transport of asyncio takes a write after the broker has gone and says nothing, and the request ends when
the reader has noticed; uvloop's raises RuntimeError, which aiokafka expects nowhere
(https://github.com/aio-libs/aiokafka/issues/1038). Where that meets the task that keeps a client's metadata,
the task is over, and everyone who waits for metadata waits for ever.
"""

from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason

_send: Final = AIOKafkaConnection.send


def _send_while_open(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    writer = connection._writer
    if writer is not None and writer.is_closing():
        # From here on it's a connection that is gone: what waits for it hears so, and this request raises
        # KafkaConnectionError, which each caller knows to try again after.
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
    return _send(connection, request, expect_response)


def mend_connections() -> None:
    """Let every connection of aiokafka in this process raise KafkaConnectionError once it is closing."""
    AIOKafkaConnection.send = _send_while_open
