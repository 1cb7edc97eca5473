"""What the engine overrides in Faust and aiokafka, or reaches into, is there as it was.

The engine stands on parts of both that are not promised to stay. A release that changes one of them fails
here, by name, before it fails in a rebalance.
"""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aiokafka
import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.errors import CommitFailedError, KafkaTimeoutError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.protocol.group import JoinGroupRequest
from faust.app.base import App
from faust.stores.rocksdb import Store
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerRebalanceListener, Transport
from faust.types import TP
from mode.services import Service
from mode.threads import ServiceThread

from engine.app import ChunkApp, EngineOptions
from engine.chunks import PassThrough
from engine.consumer import ChunkConsumer, ChunkTransport
from engine.consumer_thread import ChunkConsumerThread
from engine.outlet import Outlet
from engine.table import WriteBehindTable
from tests.engine.fakes import CHANGELOG, Engine, FakeObserver, text_table


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(function: Any) -> str:
    """Return the text of a function, or of the one behind a property or one of mode's background tasks."""
    for behind in ("fun", "fget"):
        function = getattr(function, behind, function)
    return inspect.getsource(function)


# -- overridden --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (
            ChunkConsumer,
            Consumer,
            [
                *(
                    "getmany",
                    "_add_gap",
                    "commit",
                    "on_task_error",
                    "wait_empty",
                    "commit_and_end_transactions",
                ),
                *("on_partitions_revoked", "on_partitions_assigned", "perform_seek", "resume_flow"),
            ],
        ),
        (
            ChunkConsumerThread,
            AIOKafkaConsumerThread,
            ["_create_worker_consumer", "_fetch_records", "on_start", "on_partitions_assigned"],
        ),
        (ChunkApp, App, ["_new_transport"]),
        (WriteBehindTable, Collection, ["apply_changelog_batch"]),
    ],
)
def test_what_is_overridden_is_there_and_takes_the_same(ours: type, theirs: type, names: list[str]) -> None:
    for name in names:
        original = getattr(theirs, name)
        override = getattr(ours, name)
        assert override is not original, name
        assert parameters(override) == parameters(original), name
        assert inspect.iscoroutinefunction(override) == inspect.iscoroutinefunction(original), name


def test_the_way_in_is_the_transports_consumer() -> None:
    assert "self.Consumer(" in source(Transport.create_consumer)
    assert ChunkTransport.Consumer is ChunkConsumer
    assert "self._new_transport()" in source(App.transport)
    assert "self._new_consumer_thread()" in source(ThreadDelegateConsumer.__init__)


def test_a_schemas_loading_is_asked_for_key_and_value() -> None:
    for name in ("loads_key", "loads_value"):
        assert parameters(getattr(faust.Schema, name))[:3] == ["self", "app", "message"]
        assert parameters(getattr(PassThrough, name))[:3] == ["self", "app", "message"]


# -- relied on in Faust ------------------------------------------------------------------------------------


def test_messages_come_through_getmany_and_pass_by_the_read_offset() -> None:
    drain = source(Consumer._drain_messages)
    assert "getmany = self.getmany" in drain
    assert "self._read_offset.__getitem__" in drain
    assert "if r_offset is None or offset >= r_offset:" in drain
    assert "await self._add_gap(" in drain


def test_faust_forgets_before_it_waits_which_is_why_revoking_is_overridden() -> None:
    revoking = source(Consumer.on_partitions_revoked)
    assert revoking.index("self._acked.pop(") < revoking.index("self._on_partitions_revoked")
    closing = source(App._on_partitions_revoked)
    assert closing.index("self._on_rebalance_when_stopped()") < closing.index("_consumer_wait_empty")
    assert "self.consumer.close()" in source(App._on_rebalance_when_stopped)


def test_every_way_to_an_end_comes_by_our_overrides() -> None:
    assert "await consumer.wait_empty()" in source(App._consumer_wait_empty)
    assert "_consumer_wait_empty" in source(App._stop_consumer)
    assert "await self.commit()" in source(Consumer._commit_handler)
    assert "await self.wait_empty()" in source(Consumer.on_stop)


def test_a_recovery_that_a_rebalance_overtakes_is_known_by_its_error_and_by_its_count() -> None:
    recovering = source(Recovery._restart_recovery)
    assert "except IllegalStateError as exc:" in recovering
    assert recovering.index("self.on_recovery_completed)(generation_id)") < recovering.index("except Illegal")
    completed = source(Recovery.on_recovery_completed)
    assert completed.index("consumer.perform_seek()") < completed.index("self.tables.on_actives_ready()")
    assert "self.rebalancing_count += 1" in source(App.on_rebalance_start)
    assert "thread.app.on_rebalance_start()" in source(ConsumerRebalanceListener.on_partitions_revoked)
    assert "self._subscription.listener.on_partitions_revoked(revoked)" in source(
        GroupCoordinator._on_join_prepare
    )


def test_fausts_watch_asks_for_positions_that_a_seek_has_taken_away() -> None:
    assert "await self.verify_all_partitions_active()" in source(Consumer._commit_livelock_detector)
    assert "committed_offset = tp_state.position" in source(AIOKafkaConsumerThread.verify_event_path)
    assert "assert self._position is not None" in source(TopicPartitionState.position)
    assert "verify_event_path" not in source(ChunkConsumer.verify_all_partitions_active)


def test_recovery_ends_with_a_seek_and_lets_the_flow_in_after_it() -> None:
    completed = source(Recovery.on_recovery_completed)
    assert completed.index("consumer.perform_seek()") < completed.index("consumer.resume_flow()")
    assert completed.index("consumer.resume_partitions(") < completed.index("consumer.perform_seek()")
    assert "on_actives_ready()" in completed
    assert "table.apply_changelog_batch(buf)" in source(Recovery._slurp_changelogs)
    assert "table.recovery_buffer_size" in source(Recovery._slurp_changelogs)
    assert "recovery_buffer_size == 1" in source(Recovery._restart_recovery)  # its mark; the engine takes 2
    assert parameters(Recovery.active_remaining_total) == ["self"]


def test_the_consumer_has_what_the_engine_reaches_into(tmp_path: Path) -> None:
    async def look() -> None:
        consumer = Engine(tmp_path).consumer()
        for name in (
            *("_paused_partitions", "_buffered_partitions", "_read_offset", "flow_active", "can_resume_flow"),
            *("_get_active_partitions", "_is_changelog_tp", "_on_partitions_revoked", "assignment"),
        ):
            assert hasattr(consumer, name), name

    asyncio.run(look())
    assert "self._assignment = assigned" in source(App._update_assignment)
    assert "consumer_generation_id" in source(Consumer.getmany)
    for name in ("call_thread", "_ensure_consumer", "getmany"):
        assert hasattr(AIOKafkaConsumerThread, name), name
    assert "self._fetch_records" in source(AIOKafkaConsumerThread.getmany)


def test_the_app_has_what_the_engine_reaches_into(tmp_path: Path) -> None:
    async def look() -> None:
        app: Any = Engine(tmp_path).app
        for name in ("_crashed", "crashed", "crash_reason", "rebalancing", "in_recovery", "should_stop"):
            assert hasattr(app, name), name
        assert app.tables.actives_ready is False
        assert isinstance(app.tables, TableManager)
        assert app.tables.changelog_topics == set()

    asyncio.run(look())
    assert "self.crash_reason = reason" in source(Service._crash)
    assert "self._crashed.set()" in source(Service._crash)


async def test_topics_without_acks_are_not_acknowledged_by_faust(tmp_path: Path) -> None:
    app: Any = Engine(tmp_path).app

    async def handle(chunk: object) -> None:
        """Never called here."""

    app.chunk_agent("raw", handle, name="router")
    (agent,) = app.agents.values()
    assert agent.channel.acks is False
    app.topics.add(agent.channel)
    assert not app.topics.acks_enabled_for("raw")
    assert "if channel.acks:" in source(Conductor)
    assert "self.app.topics.acks_enabled_for(message.topic)" in source(Consumer.ack)


async def test_faust_takes_our_settings_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("BROKER_COMMIT_INTERVAL", "99"),
        ("APP_VERSION", "3"),
        ("APP_DATADIR", "elsewhere"),
        ("PROCESSING_GUARANTEE", "exactly_once"),
        ("WEB_ENABLED", "1"),
        ("FAUST_BROKER_COMMIT_INTERVAL", "99"),
    ):
        monkeypatch.setenv(name, value)
    options = EngineOptions("app", ["127.0.0.1:1"], tmp_path, commit_interval_seconds=0.5)
    conf = ChunkApp(options, Outlet({}, {}), FakeObserver()).conf
    assert conf.broker_commit_interval == 0.5
    assert conf.version == 1
    assert conf.datadir == tmp_path / "app"
    assert cast(Any, conf).processing_guarantee.value == "at_least_once"
    assert conf.web_enabled is False
    assert conf.stream_wait_empty is True
    assert conf.broker_max_poll_records is None  # a chunk is all that a fetch brought


# -- relied on in Faust's store ----------------------------------------------------------------------------


async def test_the_store_gives_its_databases_and_takes_our_options(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    table = text_table(engine)
    store = cast(Any, table.data)
    assert isinstance(store, Store)
    assert store.use_rocksdict
    assert store._dbs == {}
    database = store._db_for_partition(1)
    assert store._dbs == {1: database}
    options = cast(Any, store).rocksdb_options
    assert (options.block_cache_size, options.write_buffer_size) == (16 * 1024 * 1024, 8 * 1024 * 1024)
    assert (options.max_write_buffer_number, options.max_open_files) == (2, 200)
    database.put(store.offset_key, b"41")
    assert table.persisted_offset(TP(CHANGELOG, 1)) == 41
    assert table.changelog_topic_name == CHANGELOG
    assert table.changelog_topic.get_topic_name() == CHANGELOG
    assert database.property_int_value("rocksdb.estimate-num-keys") == 1


# -- relied on in aiokafka ---------------------------------------------------------------------------------


async def test_the_aiokafka_consumer_has_the_settings_that_faust_does_not_give(tmp_path: Path) -> None:
    app = Engine(tmp_path, fetch_max_bytes=1_000_000).app
    thread = object.__new__(ChunkConsumerThread)
    thread.app = app
    thread.consumer = cast(Any, type("Of", (), {"in_transaction": False}))
    consumer = thread._create_worker_consumer(app.transport)
    await consumer.stop()
    assert (consumer._fetch_max_wait_ms, consumer._fetch_max_bytes) == (500, 1_000_000)
    using = source(aiokafka.AIOKafkaConsumer.start)
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in using
    assert "fetch_max_bytes=self._fetch_max_bytes" in using
    assert consumer._max_poll_records is None
    assert consumer._session_timeout_ms == 10_000
    assert consumer._group_id == "app"


async def test_the_aiokafka_producer_keeps_a_batch_for_as_long_as_the_outlet_says() -> None:
    producer = aiokafka.AIOKafkaProducer(request_timeout_ms=1_000)
    await producer.stop()
    assert (producer._request_timeout_ms, producer._message_accumulator._batch_ttl) == (1_000, 1.0)
    assert "batch, tp, self._request_timeout_ms / 1000" in source(aiokafka.AIOKafkaProducer.send_batch)
    assert "MessageBatch(tp, builder, self._batch_ttl" in source(MessageAccumulator._append_batch)
    assert not KafkaTimeoutError.retriable


def test_the_aiokafka_producer_sends_and_tries_again_by_the_method_that_is_wrapped() -> None:
    sending = source(Sender._sender_routine)
    assert "create_task(self._send_produce_req(node_id, node_batches))" in sending
    assert "self._in_flight.add(node_id)" in sending
    assert "self._muted_partitions.add(tp)" in sending
    done = source(Sender._send_produce_req)
    assert "self._in_flight.remove(node_id)" in done
    assert "self._muted_partitions.remove(tp)" in done
    assert parameters(Sender._send_produce_req) == ["self", "node_id", "batches"]
    assert parameters(MessageAccumulator.reenqueue) == ["self", "batch"]


def test_heartbeats_are_asked_for_by_the_method_that_is_watched() -> None:
    assert parameters(GroupCoordinator._do_heartbeat) == ["self"]
    assert "success = await self._do_heartbeat()" in source(GroupCoordinator._heartbeat_routine)
    # While a group rebalances a heartbeat still confirms the member: its last commits are taken.
    beating = source(GroupCoordinator._do_heartbeat)
    assert beating.index("RebalanceInProgressError") < beating.rindex("return True")
    assert "self._coordinator = GroupCoordinator(" in source(aiokafka.AIOKafkaConsumer.start)


def test_commits_are_sent_and_metadata_asked_for_by_the_methods_that_are_used() -> None:
    assert parameters(GroupCoordinator._do_commit_offsets) == ["self", "assignment", "offsets"]
    committing = source(GroupCoordinator.commit_offsets)
    assert "self._do_commit_offsets(assignment, offsets)" in committing
    # It tries again for ever what may be tried again.
    assert UnknownTopicOrPartitionError.retriable
    assert not CommitFailedError.retriable
    assert "if not err.retriable:" in committing
    assert parameters(AIOKafkaClient.force_metadata_update) == ["self"]
    assert "unauthorized_topics" in source(ClusterMetadata.update_metadata)
    assert "self.thread_loop = " in source(ServiceThread.__init__)


def test_names_are_said_when_joining_only_and_all_goes_by_the_method_that_looks() -> None:
    joining = source(CoordinatorGroupRebalance.perform_group_join)
    assert "self._coordinator._group_instance_id" in joining
    assert "response = await self._coordinator._send_req(request)" in joining
    # What it takes for a lost connection: nothing was joined, it tries again.
    assert "except Errors.KafkaError:" in joining
    beating = source(GroupCoordinator._do_heartbeat)
    assert "HeartbeatRequest(self.group_id, self.generation, self.member_id)" in beating
    assert "resp = await self._send_req(request)" in beating
    assert "self.member_id = JoinGroupRequest.UNKNOWN_MEMBER_ID" in source(GroupCoordinator.reset_generation)
    assert JoinGroupRequest.UNKNOWN_MEMBER_ID == ""


def test_revoking_comes_before_the_heartbeats_end() -> None:
    joining = source(GroupCoordinator.ensure_active_group)
    assert joining.index("self._on_join_prepare(") < joining.index("self._stop_heartbeat_task()")


def test_fetched_records_may_be_unpacked_whole() -> None:
    assert "res_or_error.getall(max_records)" in source(aiokafka_fetcher.Fetcher.fetched_records)
    assert parameters(aiokafka_fetcher.FetchResult.getall) == ["self", "max_records"]
    assert "_partition_records" in source(aiokafka_fetcher.FetchResult.__init__)
    assert parameters(aiokafka_fetcher.Fetcher._create_fetch_waiter) == ["self"]
    assert parameters(aiokafka_fetcher.Fetcher.fetched_records)[:3] == ["self", "partitions", "timeout"]


def test_a_partitions_position_and_end_are_told_without_asking_the_broker() -> None:
    for name in ("has_valid_position", "position"):
        assert isinstance(getattr(TopicPartitionState, name), property), name
    assert "self.highwater" in source(TopicPartitionState.__init__)


def test_the_producer_takes_batches_that_were_filled_by_hand() -> None:
    assert parameters(aiokafka.AIOKafkaProducer.send_batch) == ["self", "batch", "topic", "partition"]
    assert parameters(aiokafka.AIOKafkaProducer.create_batch) == ["self"]


def test_a_batch_appends_by_an_inner_builder_and_counts_for_itself() -> None:
    batch = BatchBuilder(1 << 10, 0)
    outer = [batch.append(timestamp=None, key=b"k", value=b"v", headers=[]) for _ in range(3)]
    assert batch._relative_offset == batch.record_count() == len(outer)
    other = BatchBuilder(1 << 10, 0)
    assert other._builder.append(0, None, b"k", b"v", []) is not None
    other._relative_offset = 1
    while other._builder.append(1, None, b"k", b"v", []) is not None:
        """Fill it up."""
    assert other.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None
