"""The thread that aiokafka's consumer runs in: fetches, seeks, commits, and when the group last knew us."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import aiokafka
import structlog
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from engine.errors import EngineError
from engine.lost import OffsetsLostError, find_gaps
from engine.named import NameTakenError, keep_name
from engine.unpacking import keep_packed

if TYPE_CHECKING:
    from engine.app import ChunkApp
    from engine.consumer import ChunkConsumer

log = structlog.stdlib.get_logger("gradewatch.engine")


def membership_clock() -> float:
    """Return seconds on a clock that runs on while the machine or the process is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def while_all_topics_are_there(commit: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Make a commit for a topic that is gone fail; aiokafka tries for ever, and the flush would never end."""

    async def commit_or_fail(*arguments: Any) -> None:
        try:
            await commit(*arguments)
        except UnknownTopicOrPartitionError as error:
            raise CommitFailedError("a topic is not there") from error

    return commit_or_fail


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer, with a few methods of ours that run in it."""

    app: "ChunkApp"
    consumer: "ChunkConsumer"
    #: When the group coordinator last confirmed that we are a member, on the membership clock.
    membership_confirmed_at: float | None = None

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no settings for these two: how long the broker holds an empty fetch (a shorter hold lets
        # newly assigned partitions in sooner), and what one answer may bring for all partitions together.
        fetcher_options = {"_fetch_max_wait_ms": 500, "_fetch_max_bytes": self.app.options.fetch_max_bytes}
        for name, value in fetcher_options.items():
            if not hasattr(consumer, name):
                raise EngineError(f"this aiokafka release has no AIOKafkaConsumer.{name}")
            setattr(consumer, name, value)
        return consumer

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 (Faust's signature)
        max_records: int | None = None,
    ) -> Mapping[Any, Any]:
        """Return what was fetched, as batches: so the waiting is done here, not in aiokafka."""
        fetcher = consumer._fetcher
        deadline = time.monotonic() + (timeout or 0.0)
        while self.consumer.flow_active:
            # What the coordinator can't go on with waits there until somebody asks; Faust never does.
            consumer._coordinator.check_errors()
            keep_packed(fetcher._records)
            try:
                fetched = await super()._fetch_records(consumer, active_partitions, 0, max_records)
            except NoOffsetForPartitionError:
                fetched = {}  # a partition that nobody has sought to yet
            except OffsetOutOfRangeError as error:
                (wanted,) = error.args
                with suppress(IllegalStateError):  # taken away meanwhile: who has it now sees for himself
                    await self._without_gaps(consumer, wanted)
                fetched = {}
            left = deadline - time.monotonic()
            if fetched or left <= 0:
                return fetched
            waiter = fetcher._create_fetch_waiter()
            await asyncio.wait({waiter}, timeout=left)
            if not waiter.done():
                waiter.cancel()
        return {}

    async def on_start(self) -> None:
        """Start aiokafka's consumer, and note its heartbeats."""
        await super().on_start()
        # Only aiokafka's coordinator knows when a heartbeat was answered, and it tells nobody.
        coordinator = self._ensure_consumer()._coordinator
        heartbeat = coordinator._do_heartbeat

        async def noted_heartbeat() -> bool:
            asked_at = membership_clock()
            confirmed = bool(await heartbeat())
            if confirmed:
                self.membership_confirmed_at = asked_at
            return confirmed

        coordinator._do_heartbeat = noted_heartbeat
        coordinator._do_commit_offsets = while_all_topics_are_there(coordinator._do_commit_offsets)
        if self.app.options.instance_id is not None:
            keep_name(coordinator, self.app.options.instance_id, self._name_taken)

    def _name_taken(self, reason: NameTakenError) -> None:
        self.parent_loop.call_soon_threadsafe(self.consumer.fail, reason)

    async def on_thread_stop(self) -> None:
        """Stop aiokafka's consumer; without a broker its own cancelled task would end the thread before."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note the membership that comes with an assignment."""
        self.membership_confirmed_at = membership_clock()
        await super().on_partitions_assigned(assigned, generation_id)

    async def missing_topics(self) -> frozenset[str]:
        """Ask which of the topics that are read are not there; none where no broker answers.

        One that is there again is noticed by this too: only who asks is told, and then rejoins the group.
        """
        asking = asyncio.run_coroutine_threadsafe(self._missing_topics(), self.thread_loop)
        return await asyncio.wrap_future(asking)

    async def _missing_topics(self) -> frozenset[str]:
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription
        if consumer is None or subscription is None or not await consumer._client.force_metadata_update():
            return frozenset()
        cluster = consumer._client.cluster
        # Those that this user may not see are an error elsewhere.
        missing = {topic for topic in subscription.topics if not cluster.partitions_for_topic(topic)}
        return frozenset(missing - set(cluster.unauthorized_topics))

    def is_behind(self, tp: TP) -> bool:
        """Tell whether a partition has more than what was fetched; True while that isn't known yet."""
        state = self._state(tp)
        if state is None:
            return False
        # The position goes past control records at the end, which no offset of a message would.
        return not state.has_valid_position or state.highwater is None or state.position < state.highwater

    def end_seen(self, tp: TP) -> int | None:
        """Return the end of a partition as the newest fetch told it; None when it's not ours or not known."""
        state = self._state(tp)
        return None if state is None else state.highwater

    def _state(self, tp: TP) -> Any:
        # Called from the app's thread: the assignment may go at any moment, the object asked stays.
        consumer = self._consumer
        assigned = None if consumer is None else consumer._subscription.subscription
        if assigned is None or assigned.assignment is None:
            return None
        return assigned.assignment.state_value(aiokafka.TopicPartition(tp.topic, tp.partition))

    async def seek_streams(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """Go back to what is committed, or to the beginning; return the committed offsets.

        Where nothing is committed though the tables have rows, the group's offsets were forgotten.
        """
        has_worked = any(table.has_rows() for table in self.app.write_behind_tables)
        return dict(await self.call_thread(self._seek_streams, list(tps), has_worked))

    async def _seek_streams(self, tps: Sequence[TP], has_worked: bool) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        partitions = [aiokafka.TopicPartition(tp.topic, tp.partition) for tp in tps]
        offsets = await asyncio.gather(*map(consumer.committed, partitions))
        committed = dict(zip(partitions, offsets, strict=True))
        wanted = {tp: offset for tp, offset in committed.items() if has_worked or offset is not None}
        known = await self._without_gaps(consumer, wanted)
        reset = {partition: offset for partition, offset in known.items() if offset != committed[partition]}
        if reset:
            # Now: where nothing more comes, nothing else would ever be committed. Where the group has moved
            # on, the next one to have the partition does it.
            with suppress(CommitFailedError):
                await self._commit_offsets(reset)
        fresh = [partition for partition in partitions if partition not in known]
        if fresh:
            # All in one call: each waits for the fetch under way to end.
            await consumer.seek_to_beginning(*fresh)
        return {tp: known.get(partition) for tp, partition in zip(tps, partitions, strict=True)}

    async def _without_gaps(
        self, consumer: aiokafka.AIOKafkaConsumer, wanted: Mapping[aiokafka.TopicPartition, int | None]
    ) -> dict[aiokafka.TopicPartition, int]:
        """Seek to the offsets that are wanted next and return them; where one is gone, to the first there is.

        One that is not known (None) is left out, unless the partition has lost what it began with.

        Raises OffsetsLostError where that was not asked for, and where a changelog is concerned: what is
        missing of that can't be made good by reading on.
        """
        gaps = await find_gaps(consumer, wanted)
        goes_on = self.app.options.reset_offsets and not any(self._is_changelog(gap.topic) for gap in gaps)
        if gaps:
            log.error(
                "offsets.lost",
                gaps=[asdict(gap) for gap in gaps],
                lost=sum(gap.lost or 0 for gap in gaps),
                goes_on=goes_on,
            )
        if gaps and not goes_on:
            raise OffsetsLostError(gaps)
        positions = {partition: offset for partition, offset in wanted.items() if offset is not None}
        for gap in gaps:
            positions[aiokafka.TopicPartition(gap.topic, gap.partition)] = gap.first
        for partition, offset in positions.items():
            consumer.seek(partition, offset)
        return positions

    def _is_changelog(self, topic: str) -> bool:
        return topic in self.app.tables.changelog_topics

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit; raises CommitFailedError when the group has moved on without us."""
        await self.call_thread(self._commit_offsets, offsets)

    async def _commit_offsets(self, offsets: Mapping[Any, int]) -> None:
        await self._ensure_consumer().commit(
            {
                aiokafka.TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
                for tp, offset in offsets.items()
            }
        )
