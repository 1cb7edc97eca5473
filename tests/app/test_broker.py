from __future__ import annotations

import io
import json
import socket
import time

import pytest
from aiokafka.errors import KafkaConnectionError

from app import logs
from app.broker import admin_client, start_client
from app.children import LOOPBACK
from app.errors import BrokerError
from app.settings import Settings


class ShyClient:
    """Can be started when it has been asked so many times."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def start(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise KafkaConnectionError("not yet")


async def test_a_client_is_started_again_until_it_is_connected() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    client = ShyClient(refusals=2)
    await start_client(client, "a:1", timeout_seconds=30)
    assert client.refusals == 0
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    # The second try fails as the first did, and so soon after it is not said again.
    assert [line["event"] for line in lines] == ["broker.unreachable"]
    assert (lines[0]["brokers"], lines[0]["reason"]) == ("a:1", "KafkaConnectionError: not yet")


async def test_a_bug_is_not_taken_for_an_unreachable_broker() -> None:
    class Broken:
        async def start(self) -> None:
            raise TypeError("bug")

    with pytest.raises(TypeError, match="bug"):
        await start_client(Broken(), "a:1", timeout_seconds=30)


async def test_a_broker_that_takes_connections_but_never_answers_is_given_up_in_time() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        settings = Settings(brokers=f"{LOOPBACK}:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(BrokerError, match=r"No broker answered at .* within 0\.5 s: no answer\."):
            async with admin_client(settings, timeout_seconds=0.5):
                pass
        assert time.monotonic() - began < 5
