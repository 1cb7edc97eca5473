"""The outlet: order per partition, deliveries that are waited for, failures that are told, bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import MessageSizeTooLargeError, NotLeaderForPartitionError
from faust.types import TP

from app.embedded import EmbeddedBroker
from engine import outlet as outlet_module
from engine.errors import DeliveryError
from engine.outlet import Outlet
from tests.clients import consume, create_topic
from tests.kafka import KafkaBroker

TOPIC, OTHER = "records", "others"


class Metadata(NamedTuple):
    offset: int


class Builder:
    """A batch as aiokafka's, of three records at most."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self.closed = False
        self._relative_offset = 0
        self._builder = self

    def append(
        self, offset: int, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Any
    ) -> Any:
        assert not self.closed
        assert offset == len(self.records)
        if len(self.records) == 3:
            return None
        self.records.append((key, value))
        return object()

    def close(self) -> None:
        self.closed = True

    def record_count(self) -> int:
        return self._relative_offset


class Sender:
    """Stands for aiokafka's sender: which batches it tried to send, and which it is to try again."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.again: list[Any] = []
        self._in_flight: set[int] = {1}
        self._muted_partitions: set[Any] = set()
        self._message_accumulator = SimpleNamespace(reenqueue=self.again.append)

    async def _send_produce_req(self, node_id: int, batches: dict[Any, Any]) -> None:
        self.tried += [tp.topic for tp in batches]
        self._in_flight.remove(node_id)
        self._muted_partitions.difference_update(batches)


class Broker:
    """Stands for the producer and its broker: acknowledges at once, later, never, or refuses."""

    def __init__(self, **_: Any) -> None:
        self._message_accumulator = SimpleNamespace()
        self._sender = Sender()
        self.topics: dict[TP, list[bytes | None]] = {}
        self.answers_at_once = True
        self.waiting: list[tuple[str, Callable[[], None]]] = []
        self.refuse_next: list[Exception] = []
        self.refuses: dict[str, Exception] = {}

    async def start(self) -> None:
        """Be there."""

    async def stop(self) -> None:
        """Be gone."""

    def create_batch(self) -> Builder:
        return Builder()

    async def send_batch(self, batch: Builder, topic: str, *, partition: int) -> "asyncio.Future[Metadata]":
        await asyncio.sleep(0)
        if self.refuse_next:
            raise self.refuse_next.pop(0)
        sent: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()

        def answer() -> None:
            if topic in self.refuses:
                sent.set_exception(self.refuses[topic])
                return
            log = self.topics.setdefault(TP(topic, partition), [])
            sent.set_result(Metadata(len(log)))
            log.extend(value for _, value in batch.records)

        if self.answers_at_once:
            answer()
        else:
            self.waiting.append((topic, answer))
        return sent

    def answer(self, *topics: str) -> None:
        """Acknowledge what has arrived for some topics."""
        for topic, answer in self.waiting:
            if topic in topics:
                answer()
        self.waiting = [(topic, answer) for topic, answer in self.waiting if topic not in topics]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(outlet_module, "AIOKafkaProducer", lambda **_: broker)
    return broker


@asynccontextmanager
async def started(**options: Any) -> AsyncIterator[Outlet]:
    outlet = Outlet({}, {TOPIC: 4, OTHER: 1}, **{"delivery_timeout_seconds": 5.0, **options})
    await outlet.start()
    try:
        yield outlet
    finally:
        await outlet.stop()


async def turns(count: int = 20) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


# -- placing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "java_hash"),
    [
        # The pinned pairs of Kafka's own UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_placed_as_javas_default_partitioner_does(key: bytes, java_hash: int) -> None:
    for partitions in (1, 4, 8, 1000):
        outlet = Outlet({}, {TOPIC: partitions})
        assert outlet.partition_for(TOPIC, key) == (java_hash & 0x7FFFFFFF) % partitions


def test_records_without_a_key_are_spread() -> None:
    outlet = Outlet({}, {TOPIC: 4})
    assert [outlet.partition_for(TOPIC, None) for _ in range(6)] == [0, 1, 2, 3, 0, 1]


# -- delivery ----------------------------------------------------------------------------------------------


async def test_records_of_a_partition_arrive_in_order(broker: Broker) -> None:
    async with started() as outlet:
        for number in range(100):
            outlet.send(TOPIC, None, b"%d" % number, partition=number % 2)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await outlet.drain()
        assert not outlet.pending
    assert broker.topics[TP(TOPIC, 0)] == [b"%d" % n for n in range(0, 100, 2)]
    assert broker.topics[TP(TOPIC, 1)] == [b"%d" % n for n in range(1, 100, 2)]


async def test_what_nobody_drains_leaves_after_the_linger(broker: Broker) -> None:
    async with started(linger_seconds=0.01) as outlet:
        sent = outlet.send(TOPIC, b"k", b"v")
        assert not broker.topics
        await asyncio.wait_for(sent, 2.0)
    assert list(broker.topics.values()) == [[b"v"]]


async def test_drain_waits_until_all_is_acknowledged(broker: Broker) -> None:
    broker.answers_at_once = False
    async with started() as outlet:
        outlet.send(TOPIC, b"k", b"v")
        outlet.send(OTHER, b"k", b"v")
        draining = asyncio.create_task(outlet.drain())
        of_one_topic = asyncio.create_task(outlet.drain({OTHER}))
        await turns()
        assert len(broker.waiting) == 2
        assert not draining.done()
        assert outlet.pending
        broker.answer(OTHER)
        await turns()
        assert of_one_topic.done()
        assert not draining.done()
        broker.answer(TOPIC)
        await draining
        assert not outlet.pending


async def test_the_last_offset_is_that_of_the_newest_acknowledged_record(broker: Broker) -> None:
    async with started() as outlet:
        assert outlet.last_offset(TP(TOPIC, 0)) is None
        for number in range(5):
            outlet.send(TOPIC, None, b"v", partition=0)
            if number == 3:
                await outlet.drain()
                assert outlet.last_offset(TP(TOPIC, 0)) == 3
        await outlet.drain()
        assert outlet.last_offset(TP(TOPIC, 0)) == 4
        assert outlet.last_offset(TP(TOPIC, 1)) is None


async def test_what_is_refused_for_now_is_tried_again_in_its_place(broker: Broker) -> None:
    broker.refuse_next = [NotLeaderForPartitionError(), NotLeaderForPartitionError()]
    async with started() as outlet:
        for number in range(8):
            outlet.send(TOPIC, None, b"%d" % number, partition=0)
        await outlet.drain()
    assert broker.topics[TP(TOPIC, 0)] == [b"%d" % n for n in range(8)]


async def test_what_is_refused_for_good_fails_every_drain(broker: Broker) -> None:
    broker.refuses[TOPIC] = MessageSizeTooLargeError()
    async with started() as outlet:
        outlet.send(OTHER, b"k", b"good")
        sent = outlet.send(TOPIC, b"k", b"too large")
        for _ in range(2):
            with pytest.raises(DeliveryError, match="records refused a batch for good: MessageSizeTooLarge"):
                await outlet.drain()
        assert outlet.pending
        assert isinstance(sent.exception(), DeliveryError)
        await outlet.drain({OTHER})  # others are none the worse for it
    assert broker.topics == {TP(OTHER, 0): [b"good"]}


async def test_a_topic_that_begins_anew_fails_every_drain_where_it_is_read_back(broker: Broker) -> None:
    async with started(read_back={TOPIC}) as outlet:
        for topic in (TOPIC, OTHER):
            for _ in range(2):
                outlet.send(topic, None, b"v", partition=0)
                await outlet.drain()
        broker.topics.clear()
        outlet.send(OTHER, None, b"v", partition=0)
        await outlet.drain()
        outlet.send(TOPIC, None, b"v", partition=0)
        for _ in range(2):
            with pytest.raises(DeliveryError, match="topic records was deleted and made anew"):
                await outlet.drain()
        await outlet.room()


async def test_what_is_not_acknowledged_in_time_is_an_error(broker: Broker) -> None:
    broker.answers_at_once = False
    async with started(delivery_timeout_seconds=0.1) as outlet:
        outlet.send(TOPIC, b"k", b"v")
        with pytest.raises(DeliveryError, match=r"1 batches were not acknowledged within 0\.1 seconds"):
            await outlet.drain()


async def test_intake_waits_while_too_much_is_unacknowledged(broker: Broker) -> None:
    broker.answers_at_once = False
    async with started(max_pending_bytes=1_000) as outlet:
        outlet.send(TOPIC, b"k", b"v" * 500)
        await asyncio.wait_for(outlet.room(), 1.0)
        outlet.send(TOPIC, b"k", b"v" * 500)
        waiting = asyncio.create_task(outlet.room())
        draining = asyncio.create_task(outlet.drain())
        await turns()
        assert not waiting.done()
        broker.answer(TOPIC)
        await draining
        await asyncio.wait_for(waiting, 1.0)


async def test_intake_is_let_go_to_see_a_failure(broker: Broker) -> None:
    broker.refuses[TOPIC] = MessageSizeTooLargeError()
    async with started(max_pending_bytes=10) as outlet:
        outlet.send(TOPIC, b"k", b"v" * 500)
        await asyncio.wait_for(outlet.room(), 2.0)
        with pytest.raises(DeliveryError):
            await outlet.drain()


async def test_a_stop_gives_up_what_is_unacknowledged(broker: Broker) -> None:
    broker.answers_at_once = False
    async with started() as outlet:
        sent = outlet.send(TOPIC, b"k", b"v")
    assert sent.cancelled()
    with pytest.raises(RuntimeError, match="not started"):
        Outlet({}, {TOPIC: 1}).send(TOPIC, b"k", b"v")


# -- on brokers --------------------------------------------------------------------------------------------


async def test_a_broker_has_everything_in_order_and_in_its_place(embedded_broker: EmbeddedBroker) -> None:
    await create_topic(embedded_broker.bootstrap, TOPIC, partitions=3)
    outlet = Outlet({"bootstrap_servers": embedded_broker.bootstrap}, {TOPIC: 3})
    await outlet.start()
    try:
        headers = [("null", None), ("empty", b""), ("twice", b"1"), ("twice", b"2")]
        for number in range(3_000):
            outlet.send(TOPIC, b"key %d" % (number % 50), b"%d" % number, headers)
        await outlet.drain()
        messages = await consume(embedded_broker.bootstrap, TOPIC)
        assert sorted(int(message.value) for message in messages) == list(range(3_000))
        by_partition: dict[int, list[int]] = {0: [], 1: [], 2: []}
        for message in messages:
            assert message.partition == outlet.partition_for(TOPIC, message.key)
            assert list(message.headers) == headers
            by_partition[message.partition].append(int(message.value))
        for partition, numbers in by_partition.items():
            assert numbers == sorted(numbers)
            assert outlet.last_offset(TP(TOPIC, partition)) == len(numbers) - 1
    finally:
        await outlet.stop()


async def test_rows_that_lie_over_others_wait_until_they_may_go(broker: Broker) -> None:
    async with started(overwriting={OTHER}) as outlet:
        allowed = False
        outlet.may_overwrite = lambda: allowed
        outlet.send(TOPIC, b"k", b"event")
        outlet.send(OTHER, b"k", b"row")
        await outlet.drain({TOPIC})
        await turns()
        assert TP(OTHER, 0) not in broker.topics
        allowed = True
        await outlet.drain()
        assert broker.topics[TP(OTHER, 0)] == [b"row"]


@pytest.mark.parametrize("beside", [True, False])
async def test_each_attempt_asks_whether_rows_may_go_over_others(broker: Broker, beside: bool) -> None:
    async with started(overwriting={OTHER}) as outlet:
        sender: Any = broker._sender
        failed: list[Exception] = []
        row = SimpleNamespace(failure=lambda exception: failed.append(exception))
        batches: dict[Any, Any] = {TP(OTHER, 0): row} | ({TP(TOPIC, 0): object()} if beside else {})

        async def attempt() -> None:
            sender._in_flight, sender._muted_partitions, sender.tried = {1}, set(batches), []
            await sender._send_produce_req(1, batches)
            assert (sender._in_flight, sender._muted_partitions) == (set(), set())

        await attempt()
        assert set(sender.tried) == {tp.topic for tp in batches}
        outlet.may_overwrite = lambda: False
        await attempt()
        assert sender.tried == ([TOPIC] if beside else [])
        assert (sender.again, failed) == ([row], [])
        outlet.give_up(DeliveryError("the group has moved on"))
        await attempt()
        assert sender.tried == ([TOPIC] if beside else [])
        assert (sender.again, len(failed)) == ([row], 1)


async def test_what_was_given_up_never_leaves(broker: Broker) -> None:
    async with started(overwriting={OTHER}) as outlet:
        allowed = False
        outlet.may_overwrite = lambda: allowed
        outlet.send(OTHER, b"k", b"row")
        draining = asyncio.create_task(outlet.drain())
        await turns()
        outlet.give_up(DeliveryError("the group has moved on"))
        with pytest.raises(DeliveryError, match="the group has moved on"):
            await draining
        allowed = True
        await asyncio.sleep(3 * outlet_module._LOOK_SECONDS)
        assert broker.topics == {}


async def test_a_record_larger_than_its_topic_takes_is_refused(kafka: KafkaBroker, topic_prefix: str) -> None:
    small, large = f"{topic_prefix}small", f"{topic_prefix}large"
    await create_topic(kafka.bootstrap, small)  # takes 1 MiB
    await create_topic(kafka.bootstrap, large, config={"max.message.bytes": str(8 * 1024 * 1024)})
    outlet = Outlet({"bootstrap_servers": kafka.bootstrap}, {small: 1, large: 1}, compression=None)
    await outlet.start()
    try:
        outlet.send(large, None, b"x" * 3_000_000)
        outlet.send(large, None, None)
        await outlet.drain()
        assert [len(m.value or b"") for m in await consume(kafka.bootstrap, large)] == [3_000_000, 0]
        outlet.send(small, None, b"x" * 3_000_000)
        with pytest.raises(DeliveryError, match=f"{small} refused a batch for good"):
            await outlet.drain()
    finally:
        await outlet.stop()
