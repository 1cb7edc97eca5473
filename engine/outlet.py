"""The outlet: derived records leave through one idempotent producer, and every delivery is waited for.

Faust's own producer buffer gives up after 0.1 s and commits whether or not deliveries failed, so nothing
that must not be lost goes through it. Here `send` only queues, into batches that are filled by hand
(aiokafka's `send()` makes a future per message, a batch makes one), and `drain` returns when the broker
has acknowledged all of them.
"""

import asyncio
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError, ProducerFenced
from aiokafka.partitioner import murmur2
from faust.types import TP

from engine.errors import DeliveryError
from engine.fence import RENEW_AFTER_SECONDS, Fence, claim

MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
BATCH_BYTES: Final = 512 * 1024
#: Room in a batch beside keys, values and headers: the batch's own header and each record's lengths.
_RECORD_OVERHEAD: Final = 64
_RETRY_SECONDS: Final = 0.5
#: For how many keys of a topic it is kept where they go: aiokafka's murmur2 is written in Python and slow.
_KEYS_KEPT: Final = 1 << 16
_LOOK_SECONDS: Final = 0.1
_BEGAN_ANEW: Final = "topic {} was deleted and made anew while it was written to, or its end was lost"
_TAKEN_OVER: Final = "another worker has taken over a partition of topic {}"

#: As aiokafka takes them: a list, not any sequence; a header without a value is legal in Kafka.
Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
_NO_HEADERS: Final[Headers] = []


def _java_hash(key: bytes) -> int:
    """Return murmur2 as Java's default partitioner takes it."""
    return int(murmur2(key)) & 0x7FFFFFFF


class _Batch:
    """Records of one partition on their way; `delivered` ends when the broker has acknowledged them."""

    __slots__ = ("_append", "builder", "bytes", "delivered", "opened_at", "topic")

    def __init__(self, topic: str, builder: Any, delivered: "asyncio.Future[None]") -> None:
        self.topic = topic
        self.builder = builder
        # What aiokafka's `append` comes down to without serializers, at half the time.
        self._append = builder._builder.append
        self.bytes = 0
        self.delivered = delivered
        self.opened_at = time.monotonic()

    def append(self, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Take a record; False when the batch is full."""
        offset = self.builder._relative_offset
        if self._append(offset, None, key, value, headers) is None:
            return False
        self.builder._relative_offset = offset + 1
        return True


class _Lane:
    """One partition's way out: the batch being filled and those that wait for their turn."""

    __slots__ = ("closed", "fence", "filling", "last_offset", "pump", "tp")

    def __init__(self, tp: TP) -> None:
        self.tp = tp
        self.filling: _Batch | None = None
        self.closed: deque[_Batch] = deque()
        self.pump: asyncio.Task[None] | None = None
        self.last_offset: int | None = None
        self.fence: Fence | None = None


class Outlet:
    """Queues records without waiting, delivers them in order per partition, and tells when all arrived.

    `partitions` gives each topic's number of partitions (records are placed as Java's default partitioner
    does unless a partition is named). `overwriting` are the topics where a row lies over earlier ones of its
    key. `read_back` are those that are read as well: one that begins anew in between fails the drain, or its
    readers would go on in the middle of the new one. What is queued and unacknowledged is bounded by
    `max_pending_bytes` as long as senders call `room` between their pieces of work.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        partitions: Mapping[str, int],
        *,
        overwriting: Collection[str] = (),
        read_back: Collection[str] = (),
        linger_seconds: float = 0.005,
        compression: str | None = "zstd",
        delivery_timeout_seconds: float = 120.0,
        max_pending_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._client_options = dict(client_options)
        self._partitions = dict(partitions)
        self._overwriting = frozenset(overwriting)
        self._read_back = frozenset(read_back)
        #: Whether rows that lie over earlier ones may go; asked right before they do.
        self.may_overwrite: Callable[[], bool] = lambda: True
        self._linger_seconds = linger_seconds
        self._compression = compression
        self._delivery_timeout_seconds = delivery_timeout_seconds
        self._max_pending_bytes = max_pending_bytes
        self._turn = itertools.count()
        self._lanes: dict[TP, _Lane] = {}
        #: By topic, which lane a key goes to, for the newest keys.
        self._lanes_by_key: defaultdict[str, dict[bytes, _Lane]] = defaultdict(dict)
        self._filling: set[_Lane] = set()
        self._unacknowledged: set[_Batch] = set()
        self._given_up = False
        self._pending_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._linger: asyncio.TimerHandle | None = None
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises aiokafka's errors when no broker answers."""
        self._producer = AIOKafkaProducer(
            **self._client_options,
            acks="all",
            enable_idempotence=True,
            compression_type=self._compression,
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=BATCH_BYTES,
            # Batches linger here, not there: aiokafka would wait a second time.
            linger_ms=0,
            # How long one produce request waits for its answer; an idempotent producer then asks again.
            request_timeout_ms=min(30_000, int(self._delivery_timeout_seconds * 1000)),
        )
        # aiokafka gives up on a batch, and on waiting for its turn, after the time of one request, though the
        # broker may only be away. Who drains decides that here, and is the first to.
        self._producer._request_timeout_ms = int(2000 * self._delivery_timeout_seconds)
        self._producer._message_accumulator._batch_ttl = 2 * self._delivery_timeout_seconds
        self._look_before_sending(self._producer._sender)
        await self._producer.start()

    async def stop(self, *, timeout_seconds: float = 10.0) -> None:
        """Disconnect. What is unacknowledged then was not drained and is given up."""
        self._given_up = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        for lane in self._lanes.values():
            if lane.pump is not None:
                lane.pump.cancel()
        for batch in self._unacknowledged:
            if not batch.delivered.cancel():
                batch.delivered.exception()  # said to whoever drained; asyncio need not say it again
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                # An unreachable broker would let aiokafka flush for ever.
                await asyncio.wait_for(producer.stop(), timeout_seconds)
            except (TimeoutError, KafkaError):
                await producer.client.close()

    def _look_before_sending(self, sender: Any) -> None:
        """Have aiokafka ask before each attempt, a repeated one too, whether rows may go over others."""
        attempt = sender._send_produce_req

        async def attempt_what_may_go(node_id: int, batches: Mapping[Any, Any]) -> None:
            held = {tp: batch for tp, batch in batches.items() if tp.topic in self._overwriting}
            if not held or self.may_overwrite():
                await attempt(node_id, batches)
                return
            if len(held) < len(batches):
                await attempt(node_id, {tp: batch for tp, batch in batches.items() if tp not in held})
            else:
                sender._in_flight.remove(node_id)
            if self._given_up:
                for batch in held.values():
                    batch.failure(DeliveryError("given up"))
            else:
                await asyncio.sleep(_LOOK_SECONDS)
                for batch in held.values():
                    sender._message_accumulator.reenqueue(batch)
            sender._muted_partitions.difference_update(held)

        sender._send_produce_req = attempt_what_may_go

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = _NO_HEADERS,
        *,
        partition: int | None = None,
    ) -> "asyncio.Future[None]":
        """Queue one record; the future ends when it is delivered. Never waits: call `room` now and then."""
        if partition is not None:
            lane = self._lane(TP(topic, partition))
        else:
            lane = self._lanes_by_key[topic].get(key) or self._lane_for(topic, key)  # type: ignore[arg-type]
        batch = lane.filling or self._open(lane)
        if not batch.append(key, value, headers):
            self._close(lane)
            batch = self._open(lane)
            # A new batch takes any first record, however large.
            batch.append(key, value, headers)
        size = _RECORD_OVERHEAD + (len(value) if value is not None else 0)
        batch.bytes += size
        self._pending_bytes += size
        if self._pending_bytes > self._max_pending_bytes:
            self._room.clear()
        return batch.delivered

    def partition_for(self, topic: str, key: bytes | None) -> int:
        """Return where Java's default partitioner puts this key; without a key, each partition in turn."""
        partitions = self._partitions[topic]
        if key is None:
            return next(self._turn) % partitions
        return _java_hash(key) % partitions

    def _lane_for(self, topic: str, key: bytes | None) -> _Lane:
        lane = self._lane(TP(topic, self.partition_for(topic, key)))
        if key is not None:
            by_key = self._lanes_by_key[topic]
            if len(by_key) >= _KEYS_KEPT:
                by_key.clear()
            by_key[key] = lane
        return lane

    async def room(self) -> None:
        """Wait while too much is unacknowledged: back-pressure for whoever takes in more work."""
        if not self._room.is_set():
            await self._room.wait()

    @property
    def full(self) -> bool:
        """Whether too much is unacknowledged, so that who takes in more work waits."""
        return not self._room.is_set()

    @property
    def silent_seconds(self) -> float:
        """For how long the oldest records have waited to be acknowledged; 0 when none do."""
        now = time.monotonic()
        return now - min((batch.opened_at for batch in self._unacknowledged), default=now)

    @property
    def pending(self) -> bool:
        """Whether anything is queued or not yet acknowledged."""
        return bool(self._unacknowledged)

    def last_offset(self, tp: TP) -> int | None:
        """Return the offset of the newest acknowledged record that went to a partition from here."""
        lane = self._lanes.get(tp)
        return lane.last_offset if lane is not None else None

    async def fence(self, topic: str, keys: Mapping[int, bytes]) -> dict[int, int | None]:
        """Take partitions of a topic over: what an earlier worker still sends there is refused from now on.

        `keys` has the key of the tombstone that does it, for each partition; the others of the topic are let
        go. Returns the tombstones' offsets. Raises FencingRefusedError when the broker gives no epochs (the
        partitions then take records from anybody, as all others do), DeliveryError, aiokafka's errors, and
        TimeoutError when no broker answers in time.
        """
        if self._producer is None:
            raise RuntimeError("the outlet is not started")
        for lane in self._lanes.values():
            if lane.tp.topic == topic:
                lane.fence = None
        client, timeout_seconds = self._producer.client, self._delivery_timeout_seconds
        claims = (claim(client, f"{topic}-{partition}", timeout_seconds) for partition in keys)
        for partition, fence in zip(keys, await asyncio.gather(*claims), strict=True):
            self._lane(TP(topic, partition)).fence = fence
        for partition, key in keys.items():
            self.send(topic, key, None, partition=partition)
        await self.drain({topic})
        return {partition: self.last_offset(TP(topic, partition)) for partition in keys}

    async def renew_fences(self) -> None:
        """Ask for the next epoch where one was asked for long ago; nothing may be on its way there.

        Raises DeliveryError when another worker has taken a partition over.
        """
        now = time.monotonic()
        for lane in self._lanes.values():
            if lane.fence is None or now - lane.fence.claimed_at < RENEW_AFTER_SECONDS:
                continue
            if self._producer is None:
                raise RuntimeError("the outlet is not started")
            try:
                lane.fence = await lane.fence.renewed(self._producer.client, self._delivery_timeout_seconds)
            except BrokerResponseError as error:
                raise DeliveryError(_TAKEN_OVER.format(lane.tp.topic)) from error

    async def drain(self, topics: Collection[str] | None = None) -> None:
        """Return when everything queued so far (for these topics) is acknowledged.

        Raises DeliveryError when the broker refused a record for good, or when it takes longer than the
        delivery timeout.
        """
        for lane in [lane for lane in self._filling if topics is None or lane.tp.topic in topics]:
            self._close(lane)
        waiting = [
            batch.delivered for batch in self._unacknowledged if topics is None or batch.topic in topics
        ]
        if not waiting:
            return
        done, late = await asyncio.wait(
            waiting, timeout=self._delivery_timeout_seconds, return_when=asyncio.FIRST_EXCEPTION
        )
        for delivered in done:
            delivered.result()
        if late:
            raise DeliveryError(
                f"{len(late)} batches were not acknowledged within {self._delivery_timeout_seconds:g} seconds"
            )

    def give_up(self, reason: DeliveryError) -> None:
        """Let what is not acknowledged yet fail; what has not left yet never will."""
        self._given_up = True
        for batch in self._unacknowledged:
            if not batch.delivered.done():
                batch.delivered.set_exception(reason)
                batch.delivered.exception()
        self._room.set()

    def _lane(self, tp: TP) -> _Lane:
        return self._lanes.setdefault(tp, _Lane(tp))

    def _open(self, lane: _Lane) -> _Batch:
        if self._producer is None:
            raise RuntimeError("the outlet is not started")
        loop = asyncio.get_running_loop()
        builder = self._producer.create_batch()
        if lane.fence is not None:
            lane.fence.put_round(builder)
        batch = lane.filling = _Batch(lane.tp.topic, builder, loop.create_future())
        self._filling.add(lane)
        self._unacknowledged.add(batch)
        if self._linger is None:
            self._linger = loop.call_later(self._linger_seconds, self._linger_over)
        return batch

    def _linger_over(self) -> None:
        self._linger = None
        for lane in list(self._filling):
            self._close(lane)

    def _close(self, lane: _Lane) -> None:
        batch = lane.filling
        if batch is None:
            return
        lane.filling = None
        self._filling.discard(lane)
        batch.builder.close()
        lane.closed.append(batch)
        if lane.pump is None:
            lane.pump = asyncio.get_running_loop().create_task(self._pump(lane))

    async def _pump(self, lane: _Lane) -> None:
        """Hand a lane's batches to the producer, one after the other."""
        producer = self._producer
        while lane.closed and producer is not None:
            if lane.tp.topic in self._overwriting and not self.may_overwrite():
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            batch = lane.closed.popleft()
            if batch.delivered.done():  # given up
                continue
            try:
                sent = await producer.send_batch(batch.builder, lane.tp.topic, partition=lane.tp.partition)
            except KafkaError as error:
                if error.retriable or isinstance(error, KafkaTimeoutError):
                    # Say, the topic is not there for now. Whoever drains bounds how long this goes on.
                    lane.closed.appendleft(batch)
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    self._failed(batch, error)
                continue
            sent.add_done_callback(lambda sent, batch=batch: self._acknowledged(lane, batch, sent))
        lane.pump = None

    def _acknowledged(self, lane: _Lane, batch: _Batch, sent: "asyncio.Future[Any]") -> None:
        if batch.delivered.done():  # given up by `stop`
            if not sent.cancelled():
                sent.exception()
            return
        if sent.cancelled():
            self._failed(batch, KafkaError("the producer was stopped"))
            return
        error = sent.exception()
        if error is not None:
            self._failed(batch, error)
            return
        metadata = sent.result()
        if metadata is not None:  # None: the batch was empty
            # The batch's first offset; -1 where a retry found its own success.
            newest = -1 if lane.last_offset is None else lane.last_offset
            if lane.tp.topic in self._read_back and 0 <= metadata.offset <= newest:
                self._fail(batch, DeliveryError(_BEGAN_ANEW.format(lane.tp.topic)))
                return
            last_offset = metadata.offset + batch.builder.record_count() - 1
            lane.last_offset = max(newest, 0, last_offset)
        self._unacknowledged.discard(batch)
        self._pending_bytes -= batch.bytes
        if self._pending_bytes <= self._max_pending_bytes:
            self._room.set()
        batch.delivered.set_result(None)

    def _failed(self, batch: _Batch, error: BaseException) -> None:
        # It stays among the unacknowledged: every later drain fails too, so that nothing is committed
        # past it; and intake is let go to see the failure.
        if not batch.delivered.done():
            sentence = f"topic {batch.topic} refused a batch for good: {type(error).__name__}"
            if isinstance(error, ProducerFenced):
                sentence = _TAKEN_OVER.format(batch.topic)
            refusal = DeliveryError(sentence)
            refusal.__cause__ = error
            self._fail(batch, refusal)

    def _fail(self, batch: _Batch, refusal: DeliveryError) -> None:
        batch.delivered.set_exception(refusal)
        batch.delivered.exception()
        self._room.set()
