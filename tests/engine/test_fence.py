"""Fences on a real broker: who took a partition over last writes to it, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    ConcurrentTransactions,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    TransactionalIdAuthorizationFailed,
)
from faust.types import TP

from engine import outlet as outlet_module
from engine.errors import DeliveryError
from engine.fence import FencingRefusedError, claim
from engine.outlet import Outlet
from tests.clients import consume, create_topic
from tests.kafka import KafkaBroker


@pytest.fixture
async def topic(kafka: KafkaBroker, topic_prefix: str) -> str:
    await create_topic(kafka.bootstrap, f"{topic_prefix}changelog", 2, {"cleanup.policy": "compact"})
    return f"{topic_prefix}changelog"


@asynccontextmanager
async def outlets(kafka: KafkaBroker, topic: str) -> AsyncIterator[tuple[Outlet, Outlet]]:
    async with AsyncExitStack() as stack:
        pair = [Outlet({"bootstrap_servers": kafka.bootstrap}, {topic: 2}) for _ in range(2)]
        for outlet in pair:
            await outlet.start()
            stack.push_async_callback(outlet.stop)
        yield pair[0], pair[1]


async def put(outlet: Outlet, topic: str, value: bytes, partition: int = 0) -> None:
    outlet.send(topic, b"key", value, partition=partition)
    await outlet.drain({topic})


async def test_rows_of_the_owner_before_are_refused(kafka: KafkaBroker, topic: str) -> None:
    async with outlets(kafka, topic) as (first, second):
        assert await first.fence(topic, {0: b"f0", 1: b"f1"}) == {0: 0, 1: 0}
        for value in (b"1", b"2"):
            await put(first, topic, value)
        assert await second.fence(topic, {0: b"f0"}) == {0: 3}
        await put(first, topic, b"other partition", 1)  # which nobody took from it
        await put(second, topic, b"3")
        with pytest.raises(DeliveryError, match="another worker has taken over a partition of topic"):
            await put(first, topic, b"late")
        assert await second.fence(topic, {0: b"f0"}) == {0: 5}  # its own once more, after a rebalance
        await put(second, topic, b"4")
    rows = [(row.partition, row.key, row.value) for row in await consume(kafka.bootstrap, topic)]
    assert rows == [
        *((0, b"f0", None), (0, b"key", b"1"), (0, b"key", b"2")),
        *((0, b"f0", None), (0, b"key", b"3"), (0, b"f0", None), (0, b"key", b"4")),
        *((1, b"f1", None), (1, b"key", b"other partition")),
    ]


async def test_a_row_on_its_way_during_the_takeover_lies_before_the_fence_or_nowhere(
    kafka: KafkaBroker, topic: str
) -> None:
    async with outlets(kafka, topic) as (first, second):
        await first.fence(topic, {0: b"f"})
        late = asyncio.create_task(put(first, topic, b"late"))
        offsets = await second.fence(topic, {0: b"f"})
        refused = isinstance((await asyncio.gather(late, return_exceptions=True))[0], DeliveryError)
    rows = [(row.offset, row.value) for row in await consume(kafka.bootstrap, topic)]
    assert rows == ([(0, None), (1, None)] if refused else [(0, None), (1, b"late"), (2, None)])
    assert offsets == {0: rows[-1][0]}


async def test_an_epoch_is_renewed_by_its_owner_only(
    kafka: KafkaBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outlets(kafka, topic) as (first, second):
        await first.fence(topic, {0: b"f"})
        await put(first, topic, b"1")
        await first.renew_fences()  # asked for a moment ago: nothing to do
        monkeypatch.setattr(outlet_module, "RENEW_AFTER_SECONDS", 0.0)
        await first.renew_fences()
        await put(first, topic, b"2")
        await second.fence(topic, {0: b"f"})
        with pytest.raises(DeliveryError, match="another worker has taken over"):
            await first.renew_fences()
        await put(second, topic, b"3")
    assert [row.value for row in await consume(kafka.bootstrap, topic)] == [None, b"1", b"2", None, b"3"]


async def test_partitions_that_are_not_named_are_let_go(kafka: KafkaBroker, topic: str) -> None:
    async with outlets(kafka, topic) as (first, second):
        await first.fence(topic, {0: b"f", 1: b"f"})
        await first.fence(topic, {1: b"f"})
        await second.fence(topic, {0: b"f"})
        await first.drain()
        await put(first, topic, b"kept", 1)
        assert first.last_offset(TP(topic, 1)) == 2


class Client:
    """Answers a question for a coordinator with errors, then with a node; every claim is granted."""

    def __init__(self, *errors: KafkaError) -> None:
        self.errors = list(errors)

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 1

    async def ready(self, node: int, *, group: int) -> bool:
        return True

    async def send(self, node: int, request: Any, *, group: int) -> SimpleNamespace:
        return SimpleNamespace(error_code=0, producer_id=7, producer_epoch=3)


async def test_a_coordinator_that_is_not_ready_yet_is_asked_again() -> None:
    client = Client(GroupCoordinatorNotAvailableError(), ConcurrentTransactions(), KafkaConnectionError())
    await claim(client, "table-0", timeout_seconds=5.0)
    assert client.errors == []


async def test_a_user_without_the_right_is_told() -> None:
    with pytest.raises(FencingRefusedError, match="this user have no transactional id table-0"):
        await claim(Client(TransactionalIdAuthorizationFailed()), "table-0", timeout_seconds=5.0)
    with pytest.raises(GroupAuthorizationFailedError):
        await claim(Client(GroupAuthorizationFailedError()), "table-0", timeout_seconds=5.0)
