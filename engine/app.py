"""The Faust app that is driven in chunks: settings Faust must have, agents, tables, and failure."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import faust
from faust.types import TP, StreamT
from yarl import URL

from engine.chunks import Chunk, ChunkHandler, Observer, PassThrough
from engine.connections import mend_connections
from engine.consumer import ChunkConsumer, ChunkTransport
from engine.errors import EngineError
from engine.outlet import Outlet
from engine.table import Cell, TableCodec, WriteBehindTable

V = TypeVar("V")

#: Chunks that may wait for an agent; Faust counts 4,096 single messages here.
WAITING_CHUNKS: Final = 8


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine is run with; times in seconds, sizes in bytes."""

    app_id: str
    brokers: Sequence[str]
    data_dir: Path
    credentials: Any = None
    instance_id: str | None = None
    commit_interval_seconds: float = 1.0
    session_timeout_seconds: float = 10.0
    rebalance_timeout_seconds: float = 60.0
    #: How far, in Kafka's time, one partition of a topic read in step may run ahead of another.
    catch_up_skew_ms: int = 2_000
    #: How long an unreachable broker is waited for.
    broker_timeout_seconds: float = 300.0
    #: How long a rebalance or a stop waits for the chunks in hand.
    drain_timeout_seconds: float = 45.0
    #: How long a stop may take in all before the worker ends without.
    stop_timeout_seconds: float = 60.0
    #: What one fetch may bring for one partition, and for all of them.
    fetch_partition_bytes: int = 1024 * 1024
    fetch_max_bytes: int = 16 * 1024 * 1024
    standby_replicas: int = 0
    #: Whether to go on from the first message there is where the one to be read next is gone.
    reset_offsets: bool = False


class ChunkApp(faust.App):
    """A Faust app whose agents get chunks and whose tables are written behind."""

    _consumer: ChunkConsumer

    def __init__(self, options: EngineOptions, outlet: Outlet, observer: Observer) -> None:
        self.options = options
        self.outlet = outlet
        self.observer = observer
        #: Topics whose backlog is read in the order of Kafka's time across partitions.
        self.topics_in_step: set[str] = set()
        self.write_behind_tables: list[WriteBehindTable[Any]] = []
        #: Ends with the reason when the engine can't go on.
        self.failure: asyncio.Future[BaseException] | None = None
        self._failure_reason: BaseException | None = None
        mend_connections()
        super().__init__(
            options.app_id,
            broker=[URL(f"kafka://{broker}") for broker in options.brokers],
            broker_credentials=options.credentials,
            # Faust lets the environment beat what is said here; none of its variables has this prefix.
            env_prefix="GRADEWATCH_ENGINE_ENVIRONMENT_IS_UNUSED_",
            autodiscover=False,
            # The rows of another deployment would be taken for our own.
            datadir=options.data_dir / options.app_id,
            store="rocksdb://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            processing_guarantee="at_least_once",
            broker_commit_interval=options.commit_interval_seconds,
            broker_session_timeout=options.session_timeout_seconds,
            broker_heartbeat_interval=options.session_timeout_seconds / 5,
            broker_rebalance_timeout=options.rebalance_timeout_seconds,
            broker_request_timeout=max(30.0, options.session_timeout_seconds + 1),
            consumer_group_instance_id=options.instance_id,
            consumer_max_fetch_size=options.fetch_partition_bytes,
            # Whoever seeks says where to; an offset that is gone is an error.
            consumer_auto_offset_reset="none",
            table_standby_replicas=options.standby_replicas,
            stream_buffer_maxsize=WAITING_CHUNKS,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            # Its warnings are about single messages and clocks that the engine doesn't keep.
            stream_processing_timeout=24 * 3600.0,
            broker_commit_livelock_soft_timeout=24 * 3600.0,
        )

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def chunk_agent(self, topic: str, handle: ChunkHandler, *, name: str, in_step: bool = False) -> None:
        """Declare an agent that gives each chunk of a topic to `handle`.

        With `in_step` the topic's partitions are merged in the order of Kafka's time while there is a
        backlog, and a chunk may have messages of several of them.
        """
        if in_step:
            self.topics_in_step.add(topic)

        async def work(chunks: StreamT[Chunk]) -> None:
            async for chunk in chunks:
                await self._work_on(chunk, handle, name)

        # Acknowledged by the consumer's own account, so not by Faust's.
        source = self.topic(topic, schema=PassThrough(), acks=False)
        self.agent(source, name=name)(work)

    async def _work_on(self, chunk: Chunk, handle: ChunkHandler, name: str) -> None:
        consumer = self._consumer
        if not consumer.begin(chunk):
            return
        done = False
        started = time.perf_counter()
        try:
            try:
                await handle(chunk)
                done = True
            finally:
                consumer.end(chunk, done=done)
        except Exception as reason:
            # A bug, or a broker that takes nothing: Faust would skip the chunk and go on.
            consumer.fail(reason)
        else:
            self.observer.chunk(name, chunk, time.perf_counter() - started)

    def write_behind_table(
        self,
        name: str,
        *,
        partitions: int,
        codec: TableCodec[V],
        max_cells: int,
        on_capture: Callable[[bytes, Cell[V]], None],
    ) -> WriteBehindTable[V]:
        """Declare a table. `on_capture` is called for each changed cell when a flush takes it."""
        table = WriteBehindTable(
            self, name=name, partitions=partitions, codec=codec, max_cells=max_cells, on_capture=on_capture
        )
        self.tables.add(table)
        self.write_behind_tables.append(table)
        return table

    def failed(self, reason: BaseException) -> None:
        """Note why the engine can't go on; who runs the app waits for `failure`."""
        self._failure_reason = self._failure_reason or reason
        if self.failure is not None and not self.failure.done():
            self.failure.set_result(reason)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand, flush and commit.

        Raises whatever ends it otherwise: EngineError, DeliveryError, a bug in a handler, a Faust crash.
        """
        self.failure = asyncio.get_running_loop().create_future()
        await self.outlet.start()
        try:
            await self._run_services(stop)
        finally:
            await self.outlet.stop()
        if self._failure_reason is not None:
            raise self._failure_reason

    async def _run_services(self, stop: asyncio.Event) -> None:
        failure = self.failure
        if failure is None:
            raise RuntimeError("run() makes the future")
        starting = asyncio.create_task(self.start())
        ends: set[asyncio.Future[Any]] = {
            asyncio.create_task(stop.wait()),
            asyncio.create_task(self._crashed.wait()),
            failure,
        }
        done, _ = await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if starting in done and starting.exception() is None:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self.crashed and not stop.is_set():
            self.failed(self.crash_reason or EngineError("a Faust service crashed"))
        if starting.done() and not starting.cancelled() and starting.exception() is not None:
            self.failed(starting.exception() or EngineError("Faust did not start"))
        try:
            await asyncio.wait_for(self.stop(), self.options.stop_timeout_seconds)
        except TimeoutError:
            self.failed(EngineError(f"stopping took over {self.options.stop_timeout_seconds:g} seconds"))
        for task in (starting, *ends):
            task.cancel()

    # -- for readiness ------------------------------------------------------------------------------------

    @property
    def assigned(self) -> bool:
        """Whether the group has given this worker its part, which may be none."""
        # Faust calls it a rebalance until the tables are recovered too.
        return self._assignment is not None and not self._consumer.sharing_out

    @property
    def rebalances(self) -> int:
        """How often the group has begun to share out anew while this worker was in it."""
        return int(self.rebalancing_count)

    @property
    def recovered(self) -> bool:
        """Whether the tables are as their changelogs are, and nothing has failed."""
        return bool(self.tables.actives_ready) and not self.in_recovery and self._failure_reason is None

    def oldest_chunk(self) -> Chunk | None:
        """Return the chunk that an agent has been at work on longest; None when there is none."""
        return self._consumer.oldest_in_hand() if self._consumer is not None else None

    def waits_for_broker(self) -> bool:
        """Whether the broker has not spoken for the session timeout, or has not all topics that are read."""
        if self.outlet.silent_seconds > self.options.session_timeout_seconds:
            return True
        consumer = self._consumer
        return consumer is not None and (consumer.membership_in_doubt or bool(consumer.topics_missing))

    def give_up(self, reason: BaseException) -> None:
        """Take in no more work, commit nothing more, and end with the reason."""
        if self._consumer is not None:
            self._consumer.fail(reason)
        self.failed(reason)

    def lags(self) -> dict[TP, int]:
        """Return how many records of each assigned partition are not committed yet."""
        return self._consumer.lags() if self._consumer is not None else {}

    def recovery_remaining(self) -> int:
        """Return how many changelog records are still to be read before the worker is ready."""
        tables: Any = self.tables  # its interface has no recovery
        return max(0, int(tables.recovery.active_remaining_total()))

    def assignment(self) -> frozenset[TP]:
        """Return the partitions that this worker has now."""
        return frozenset(self._assignment or ())
