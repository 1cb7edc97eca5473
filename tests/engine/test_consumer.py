"""The consumer's account: which chunks may begin, which offsets are committed, and after what."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CommitFailedError, IllegalStateError, UnknownTopicOrPartitionError
from faust.types import TP

from engine.chunks import Chunk, Piece
from engine.consumer_thread import membership_clock, while_all_topics_are_there
from engine.errors import DeliveryError, EngineError, TopicsGoneError
from tests.engine.fakes import CHANGELOG, RAW, RECORDS, Consumer, Engine, Message, chunk

FLUSH = ["capture", "drain", "changelog", f"drain {CHANGELOG}", "store", "commit"]


@pytest.fixture
async def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path, drain_timeout_seconds=0.2, session_timeout_seconds=10, broker_timeout_seconds=60)


# -- chunks in ---------------------------------------------------------------------------------------------


async def test_a_fetch_becomes_one_chunk_for_each_partition(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    consumer.thread.fetches.append({RAW: [Message(0), Message(1)], RECORDS: [Message(5), Message(9)]})
    first, second = await consumer.fetched()
    assert [message.offset for piece in first.pieces() for message in piece.records] == [0, 1]
    assert first.spans == ((RAW, None, 2),)
    assert second.spans == ((RECORDS, None, 10),)  # what compaction left out belongs to the chunk around it

    consumer.thread.fetches.append({RECORDS: [Message(10)]})
    (third,) = await consumer.fetched()
    assert third.spans == ((RECORDS, 10, 11),)


async def test_nothing_but_changelogs_is_fetched_before_the_first_seek(engine: Engine) -> None:
    consumer = engine.consumer()
    consumer.resume_flow()  # Faust lets data in for the recovery
    assert await consumer.fetched() == []
    assert consumer.thread.asked == []

    tables: Any = engine.app.tables
    tables._changelogs["records"] = engine.table
    consumer.thread.fetches.append({RECORDS: [Message(0)]})
    assert len(await consumer.fetched()) == 1
    assert consumer.thread.asked == [{RECORDS}]


async def test_a_partition_that_waits_for_others_is_not_fetched_from_and_let_go_all_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TP(RAW.topic, 1)
    consumer = engine.consumer()
    engine.app.topics_in_step.add(RAW.topic)
    consumer._set_active_tps({RAW, other})
    consumer.thread.committed = {RAW: None, other: None}
    await consumer.perform_seek()
    consumer.resume_flow()
    behind = {RAW, other}
    monkeypatch.setattr(consumer.thread, "is_behind", behind.__contains__)
    for offset in range(2):
        consumer.thread.fetches.append({RAW: [Message(offset)]})
        assert await consumer.fetched() == []
    assert await consumer.fetched() == []
    assert consumer.thread.asked == [{RAW, other}, {RAW, other}, {other}]

    consumer._set_active_tps({RAW})  # now nothing is to be fetched
    behind.clear()
    (chunk,) = await consumer.fetched()
    assert chunk.spans == ((RAW, None, 2),)
    assert len(consumer.thread.asked) == 3


async def test_what_was_fetched_before_a_seek_is_void(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    consumer.thread.fetches.append({RECORDS: [Message(0)]})
    (before,) = await consumer.fetched()
    await consumer.perform_seek()
    consumer.resume_flow()
    assert not consumer.begin(before)

    consumer.thread.fetches.append({RECORDS: [Message(0), Message(1)]})
    (after,) = await consumer.fetched()
    consumer.done_by(after)
    assert await consumer.commit()
    assert consumer.thread.committed[RECORDS] == 2


async def test_a_seek_waits_for_the_fetch_under_way_and_nobody_gets_what_it_brings(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    arrived = consumer.thread.fetching = asyncio.Event()
    consumer.thread.fetches.append({RECORDS: [Message(0)], RAW: [Message(0)]})
    fetching = asyncio.create_task(consumer.fetched())
    await asyncio.sleep(0)
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0.01)
    assert not seeking.done()
    arrived.set()
    assert await fetching == []
    await seeking
    consumer.resume_flow()
    consumer.thread.fetches.append({RECORDS: [Message(0)]})
    (again,) = await consumer.fetched()
    consumer.done_by(again)


async def test_a_seek_in_the_middle_of_a_fetch_makes_the_rest_of_it_void(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    consumer.thread.fetches.append({RAW: [Message(0)], RECORDS: [Message(0)]})
    handed_out = []
    async for tp, _ in consumer.getmany(1.0):
        handed_out.append(tp)
        await consumer.perform_seek()
        consumer.resume_flow()
    assert handed_out == [RAW]


async def test_chunks_begin_only_while_admitted(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    await consumer.wait_empty()  # a rebalance begins
    assert not consumer.begin(chunk(0))
    consumer.resume_flow()
    assert consumer.begin(chunk(0))


# -- chunks done -------------------------------------------------------------------------------------------


async def test_offsets_are_those_after_the_last_done_chunk(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    consumer.done_by(chunk(0, 1, 2))
    in_hand = chunk(3, 7, follows=3)
    assert consumer.begin(in_hand)
    assert await consumer.commit()
    assert consumer.thread.committed == {RAW: None, RECORDS: 3}
    consumer.end(in_hand, done=True)
    assert await consumer.commit()
    assert consumer.thread.committed == {RAW: None, RECORDS: 8}
    assert consumer.lags() == {RECORDS: 92}
    assert engine.observer.commits == 2


async def test_a_chunk_done_out_of_order_is_an_error(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    skipping = chunk(3, follows=3)
    assert consumer.begin(skipping)
    with pytest.raises(EngineError, match=r"records\[0\]: a chunk following offset 3 .* ends at None"):
        consumer.end(skipping, done=True)


async def test_a_chunk_done_out_of_order_ends_the_worker(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    handled: list[Chunk] = []

    async def handle(chunk: Chunk) -> None:
        handled.append(chunk)

    await engine.app._work_on(chunk(3, follows=3), handle, "scorer")
    assert isinstance(engine.app._failure_reason, EngineError)
    assert not consumer.begin(chunk(0))
    assert not await consumer.commit()
    assert "commit" not in engine.journal


async def test_a_chunk_whose_handler_fails_ends_the_worker_uncommitted(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    consumer.done_by(chunk(0))

    async def handle(chunk: Chunk) -> None:
        raise ZeroDivisionError

    await engine.app._work_on(chunk(1, follows=1), handle, "scorer")
    assert isinstance(engine.app._failure_reason, ZeroDivisionError)
    await consumer.wait_empty()
    assert not await consumer.commit()
    assert engine.journal == []
    assert engine.observer.chunks == []


async def test_a_void_chunk_is_let_go_without_effect(engine: Engine) -> None:
    consumer = await engine.positioned_consumer()
    handled: list[Piece] = []

    async def handle(chunk: Chunk) -> None:
        handled.extend(chunk.pieces())

    await engine.app._work_on(chunk(0, epoch=0), handle, "scorer")
    assert handled == []
    await engine.app._work_on(chunk(0), handle, "scorer")
    assert len(handled) == 1
    assert engine.observer.chunks == [("scorer", 1)]
    assert await consumer.commit()


# -- flush and commit --------------------------------------------------------------------------------------


async def with_work(engine: Engine) -> Consumer:
    consumer = await engine.positioned_consumer()
    consumer.done_by(chunk(0, 1))
    engine.outlet.pending = engine.table.dirty = True
    return consumer


async def test_a_flush_goes_outlet_changelog_store_commit(engine: Engine) -> None:
    consumer = await with_work(engine)
    assert await consumer.commit()
    assert engine.journal == FLUSH
    assert consumer.thread.committed[RECORDS] == 2
    assert not await consumer.commit()  # nothing is left
    assert engine.journal == FLUSH


@pytest.mark.parametrize("step", FLUSH)
async def test_what_fails_at_any_step_fails_the_worker_and_commits_nothing(engine: Engine, step: str) -> None:
    consumer = await with_work(engine)
    engine.journal.fail_at[step] = DeliveryError(step)
    assert not await consumer.commit()
    assert engine.journal == FLUSH[: FLUSH.index(step) + 1]
    assert consumer.thread.committed[RECORDS] is None
    assert str(engine.app._failure_reason) == step

    engine.journal.clear()
    engine.journal.fail_at.clear()
    assert not await consumer.commit()  # nor later
    await consumer.wait_empty()
    assert engine.journal == []
    assert not consumer.begin(chunk(2, follows=2))


async def test_a_commit_that_the_group_refuses_is_left_to_who_has_the_partitions_now(engine: Engine) -> None:
    consumer = await with_work(engine)
    engine.journal.fail_at["commit"] = CommitFailedError()
    await consumer.commit()
    assert engine.app._failure_reason is None
    assert engine.observer.commits == 0


async def test_a_commit_of_what_was_given_away_meanwhile_is_left_to_its_owner_too(engine: Engine) -> None:
    consumer = await with_work(engine)
    engine.journal.fail_at["commit"] = IllegalStateError()  # aiokafka's, before it asks the broker
    await consumer.commit()
    assert engine.app._failure_reason is None
    assert engine.observer.commits == 0


async def test_a_flush_that_the_group_has_overtaken_is_given_up(engine: Engine) -> None:
    consumer = await with_work(engine)
    drained = asyncio.Event()

    async def drain(topics: object = None) -> None:
        drained.set()
        await given_up.wait()
        raise DeliveryError("given up")

    given_up = asyncio.Event()
    engine.outlet.drain = drain  # type: ignore[method-assign]
    engine.outlet.give_up = lambda reason: given_up.set()  # type: ignore[method-assign]
    flushing = asyncio.create_task(consumer.commit())
    await drained.wait()
    assert engine.app.outlet.may_overwrite()
    consumer.thread.membership_confirmed_at = membership_clock() - 11.0  # a session is 10 seconds
    assert not engine.app.outlet.may_overwrite()
    await asyncio.wait_for(consumer.on_partitions_revoked({RAW, RECORDS}), 5.0)
    assert not await flushing
    assert isinstance(engine.app._failure_reason, DeliveryError)


async def test_only_what_was_done_when_the_flush_began_is_committed(engine: Engine) -> None:
    consumer = await with_work(engine)
    drained = asyncio.Event()

    async def slow_drain(topics: object = None) -> None:
        drained.set()
        await asyncio.sleep(0.01)

    engine.outlet.drain = slow_drain  # type: ignore[method-assign]
    flushing = asyncio.create_task(consumer.commit())
    await drained.wait()
    consumer.done_by(chunk(2, follows=2))
    await flushing
    assert consumer.thread.committed[RECORDS] == 2


async def test_a_commit_for_a_topic_that_is_gone_is_not_tried_for_ever() -> None:
    asked = 0

    async def refuse(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise UnknownTopicOrPartitionError

    async def nothing() -> None:
        """Be known."""

    coordinator = object.__new__(GroupCoordinator)
    coordinator.ensure_coordinator_known = nothing
    coordinator._commit_lock = asyncio.Lock()
    coordinator._retry_backoff_ms = 1
    coordinator._do_commit_offsets = while_all_topics_are_there(refuse)
    with pytest.raises(CommitFailedError, match="a topic is not there"):
        await asyncio.wait_for(coordinator.commit_offsets(None, {}), 1)
    assert asked == 1


async def test_a_topic_that_stays_away_ends_the_worker(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.app, "options", replace(engine.app.options, session_timeout_seconds=0.2))
    consumer = await engine.positioned_consumer()
    consumer.thread.membership_confirmed_at = None
    watching = asyncio.ensure_future(cast(Any, consumer._watch_topics).fun(consumer))
    consumer.thread.missing = frozenset({"records"})
    await asyncio.sleep(0.1)
    assert engine.app.waits_for_broker()
    assert engine.app._failure_reason is None
    consumer.thread.missing = frozenset()  # there again in time
    await asyncio.sleep(0.3)
    assert not engine.app.waits_for_broker()
    assert engine.app._failure_reason is None

    consumer.thread.missing = frozenset({"records"})
    await asyncio.wait_for(watching, 2)
    assert isinstance(engine.app._failure_reason, TopicsGoneError)
    assert str(engine.app._failure_reason).startswith("records: deleted while it was read")
    assert engine.journal == ["give up"]
    assert not await consumer.commit()


async def test_flushes_come_one_after_the_other(engine: Engine) -> None:
    consumer = await with_work(engine)
    first = asyncio.create_task(consumer.commit())
    await asyncio.sleep(0)
    consumer.done_by(chunk(2, follows=2))
    await asyncio.gather(first, consumer.commit_and_end_transactions())
    assert engine.journal.count("commit") == 2
    assert consumer.thread.committed[RECORDS] == 3


# -- membership --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age_seconds", [None, 11.0])
async def test_without_confirmed_membership_nothing_is_written(
    engine: Engine, age_seconds: float | None
) -> None:
    consumer = await with_work(engine)
    now = membership_clock()
    consumer.thread.membership_confirmed_at = None if age_seconds is None else now - age_seconds
    assert not await consumer.commit()
    assert engine.journal == []
    assert engine.app._failure_reason is None

    consumer.thread.membership_confirmed_at = now
    assert await consumer.commit()
    assert engine.journal == FLUSH


async def test_membership_that_ran_out_while_the_outlet_was_drained_takes_the_flush_back(
    engine: Engine,
) -> None:
    consumer = await with_work(engine)

    async def drain_for_long(topics: object = None) -> None:
        consumer.thread.membership_confirmed_at = membership_clock() - 11

    engine.outlet.drain = drain_for_long  # type: ignore[method-assign]
    assert not await consumer.commit()
    assert engine.journal == ["capture", "restore"]
    assert engine.table.dirty
    assert consumer.thread.committed[RECORDS] is None


async def test_membership_unconfirmed_for_too_long_ends_the_worker(engine: Engine) -> None:
    consumer = await with_work(engine)
    consumer.thread.membership_confirmed_at = membership_clock() - 61
    assert not await consumer.commit()
    assert isinstance(engine.app._failure_reason, EngineError)
    assert "membership for 61 seconds" in str(engine.app._failure_reason)


# -- rebalance and stop ------------------------------------------------------------------------------------


async def test_partitions_are_given_up_only_after_their_work_is_committed(engine: Engine) -> None:
    consumer = await with_work(engine)
    in_hand = chunk(2, follows=2)
    assert consumer.begin(in_hand)
    revoking = asyncio.create_task(consumer.on_partitions_revoked({RAW, RECORDS}))
    await asyncio.sleep(0.01)
    assert not consumer.begin(chunk(3, follows=3))
    consumer.end(in_hand, done=True)
    await revoking
    assert consumer.thread.committed[RECORDS] == 3
    assert engine.journal[-2:] == ["commit", "forget"]
    assert consumer.lags() == {}


async def test_a_rebalance_in_the_middle_of_a_stop_loses_no_commit(engine: Engine) -> None:
    consumer = await with_work(engine)
    engine.app._stopped.set()  # the stop has begun and has not come to the consumer yet

    async def faust_closes_the_client(_: set[TP]) -> None:
        engine.journal.note("closed")

    consumer._on_partitions_revoked = faust_closes_the_client
    await consumer.on_partitions_revoked({RAW, RECORDS})
    assert consumer.thread.committed[RECORDS] == 2
    assert "closed" not in engine.journal[: engine.journal.index("commit")]


async def test_a_stop_that_could_not_commit_is_no_good_end(engine: Engine) -> None:
    consumer = await with_work(engine)
    engine.app._stopped.set()
    consumer.thread.membership_confirmed_at = membership_clock() - 11.0  # a session is 10 seconds
    await consumer.wait_empty()
    assert "could not be committed" in str(engine.app._failure_reason)
    assert "commit" not in engine.journal


async def test_partitions_given_in_the_middle_of_a_stop_are_not_taken(engine: Engine) -> None:
    consumer = await with_work(engine)
    engine.app._stopped.set()
    await consumer.on_partitions_assigned({RAW, RECORDS})  # Faust's callback would raise here
    assert engine.journal == []


async def assign(engine: Engine, consumer: Consumer) -> None:
    """Give the consumer its part once more, after the group has begun to share out."""

    async def assigned(*_: object) -> None:
        """Do nothing of Faust's part."""

    consumer._on_partitions_assigned = assigned
    await consumer.on_partitions_assigned({RAW, RECORDS})


@pytest.mark.parametrize("overtaken", ["before the seek", "in the seek", "after the seek"])
async def test_a_recovery_that_a_rebalance_overtakes_lets_no_work_in(engine: Engine, overtaken: str) -> None:
    consumer = engine.consumer()
    engine.app.on_rebalance_start()
    await assign(engine, consumer)
    seek = consumer.thread.seek_streams

    async def seek_streams(tps: Iterable[TP]) -> dict[TP, int | None]:
        if overtaken == "in the seek":
            engine.app.on_rebalance_start()  # aiokafka's thread does
        return await seek(tps)

    consumer.thread.seek_streams = seek_streams  # type: ignore[method-assign]
    if overtaken == "before the seek":
        engine.app.on_rebalance_start()
    if overtaken == "after the seek":
        await consumer.perform_seek()
        engine.app.on_rebalance_start()
    else:
        with pytest.raises(IllegalStateError):  # which Faust's recovery takes for what it is
            await consumer.perform_seek()
    consumer.resume_flow()
    consumer.thread.fetches.append({RECORDS: [Message(0)]})
    assert await consumer.fetched() == []
    assert not consumer.begin(chunk(0, epoch=consumer.epoch))
    assert consumer.sharing_out
    assert engine.app._failure_reason is None

    await assign(engine, consumer)
    assert not consumer.sharing_out
    consumer.thread.seek_streams = seek
    await consumer.perform_seek()
    consumer.resume_flow()
    assert [each.spans[0].tp for each in await consumer.fetched()] == [RECORDS]


async def test_a_seek_that_is_late_for_the_next_assignment_lets_no_work_in(engine: Engine) -> None:
    consumer = engine.consumer()
    seek = consumer.thread.seek_streams

    async def seek_streams(tps: Iterable[TP]) -> dict[TP, int | None]:
        engine.app.on_rebalance_start()
        await assign(engine, consumer)  # its tables are not recovered yet
        return await seek(tps)

    consumer.thread.seek_streams = seek_streams  # type: ignore[method-assign]
    with pytest.raises(IllegalStateError):
        await consumer.perform_seek()
    consumer.resume_flow()
    assert not consumer.begin(chunk(0, epoch=consumer.epoch))


async def test_an_agent_that_never_lets_go_ends_the_worker(engine: Engine) -> None:
    consumer = await with_work(engine)
    assert consumer.begin(chunk(2, follows=2))
    await consumer.wait_empty()
    assert "had a chunk in hand for 0.2 seconds" in str(engine.app._failure_reason)
    assert "commit" not in engine.journal
    assert consumer.oldest_in_hand() is not None
