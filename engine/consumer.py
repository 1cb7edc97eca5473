"""The consumer: fetches become chunks, and offsets are committed only after what depends on them.

Faust acknowledges single messages, can commit past one that is still in hand, and forgets the
acknowledgements of a partition before it waits for its last work. Here an agent says when a chunk is done,
chunks of a partition must be done in the order in which they were fetched, and one flush per interval does,
in this order: (1) everything queued on the outlet is acknowledged, (2) the changed keys go to their
changelog, acknowledged, (3) the same to the store, (4) the offsets that were done when the flush began are
committed. What fails at any step fails the worker; nothing is committed then.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import structlog
import uvloop
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service

from engine.chunks import Chunk, Observer, Span
from engine.consumer_thread import ChunkConsumerThread, membership_clock
from engine.errors import DeliveryError, EngineError, TopicsGoneError
from engine.in_step import InStep
from engine.lost import OffsetsLostError
from engine.unpacking import Batch

if TYPE_CHECKING:
    from engine.app import ChunkApp

log = structlog.stdlib.get_logger("gradewatch.engine")

#: How long a fetch waits for data before it looks again whether it should; costs nothing when data comes.
FETCH_WAIT_SECONDS: Final = 0.25
#: How long to wait before looking again when no partition may be fetched from.
_NOTHING_TO_FETCH_SECONDS: Final = 0.02


class ChunkConsumer(driver.Consumer):
    """Faust's consumer, delivering chunks and committing after flushes."""

    app: "ChunkApp"
    _thread: ChunkConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Counts the seeks; chunks fetched before the last one are void.
        self.epoch = 0
        #: Per partition, where the last done chunk ended; None where nothing was committed or done yet.
        self._done: dict[TP, int | None] = {}
        self._delivered: dict[TP, int | None] = {}
        self._committed: dict[TP, int | None] = {}
        self._in_step = InStep(skew_ms=self.app.options.catch_up_skew_ms)
        #: Whether agents may begin chunks, and stream partitions be fetched from: not in a rebalance.
        self._admitting = False
        self._positioned = False
        #: How often the group had begun to share out when it gave us our part last.
        self._rebalance = 0
        #: In the order in which they were begun.
        self._in_hand: dict[Chunk, None] = {}
        self._nothing_in_hand = asyncio.Event()
        self._nothing_in_hand.set()
        self._no_fetch_under_way = asyncio.Event()
        self._no_fetch_under_way.set()
        self._flushing = asyncio.Lock()
        self._failure: BaseException | None = None
        #: Topics that are read and that the brokers don't know, as of the last time that they were asked.
        self.topics_missing: frozenset[str] = frozenset()
        self.app.outlet.may_overwrite = self._membership_is_young

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(
            self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop()
        )

    # -- chunks in ----------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 (Faust's)
        """Yield a chunk per partition that the next fetch brings something for."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        tps = self._fetchable()
        held_up = self._admitting and self._in_step.holding and self._get_active_partitions()
        if not tps and not held_up:
            await self.sleep(_NOTHING_TO_FETCH_SECONDS)
            return
        generation = self.app.consumer_generation_id
        epoch = self.epoch
        self._no_fetch_under_way.clear()
        try:
            if tps:
                fetched = await self._thread.getmany(tps, min(timeout, FETCH_WAIT_SECONDS))
            else:  # those that are held up may be let go by and by
                await self.sleep(_NOTHING_TO_FETCH_SECONDS)
                fetched = {}
        except (OffsetsLostError, KafkaError) as reason:  # Faust would print its traceback
            self.fail(reason)
            return
        finally:
            self._no_fetch_under_way.set()
        # All at once: a seek may come between two of them.
        for chunk in list(self._chunks(fetched, epoch)):
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return  # a rebalance: it ends with a seek, which brings these again
            if not self._is_changelog_tp(chunk.spans[0].tp) and (epoch != self.epoch or not self._admitting):
                continue  # fetched before a seek that has happened since
            yield chunk.spans[0].tp, self._message(chunk, generation)

    def _fetchable(self) -> set[TP]:
        # A copy: Faust changes the set from this thread while the consumer's thread reads it.
        return {
            tp
            for tp in self._get_active_partitions()
            if (self._admitting and not self._in_step.has_enough(tp)) or self._is_changelog_tp(tp)
        }

    def _chunks(self, fetched: Mapping[Any, Sequence[Batch]], epoch: int) -> Iterator[Chunk]:
        """Yield the chunks that a fetch lets go, those read in step first."""
        single = {}
        for partition, batches in fetched.items():
            tp = TP(partition.topic, partition.partition)
            if tp.topic in self.app.topics_in_step:
                self._in_step.add(tp, batches)
            else:
                single[tp] = batches
        if self._in_step.holding:
            taken = self._in_step.take(self._behind())
            if taken:
                yield self._chunk(taken, epoch)
        for tp, batches in single.items():
            yield self._chunk({tp: batches}, epoch)

    def _chunk(self, batches: Mapping[TP, Sequence[Batch]], epoch: int) -> Chunk:
        spans = tuple(self._span(tp, of_one[-1].next_offset) for tp, of_one in batches.items())
        return Chunk(batches, spans, epoch)

    def _behind(self) -> list[TP]:
        """Return which partitions that are read in step have more than what has been fetched."""
        return [
            tp
            for tp in self._get_active_partitions() | self._buffered_partitions
            if tp.topic in self.app.topics_in_step and self._thread.is_behind(tp)
        ]

    def _span(self, tp: TP, next_offset: int) -> Span:
        span = Span(tp, self._delivered.get(tp), next_offset)
        self._delivered[tp] = next_offset
        return span

    @staticmethod
    def _message(chunk: Chunk, generation: int) -> ConsumerMessage:
        """Wrap a chunk as Faust's message: one of its (first) partition, at its last offset."""
        span = chunk.spans[0]
        return ConsumerMessage(
            span.tp.topic,
            span.tp.partition,
            span.next_offset - 1,
            chunk.newest_ms / 1000.0,
            0,
            None,
            None,
            cast(Any, chunk),  # Faust knows bytes only; the schema hands it through
            None,
            0,
            0,
            span.tp,
            generation_id=generation,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: offsets that compaction or transactions left out belong to the chunk around them."""

    # -- chunks done --------------------------------------------------------------------------------------

    def begin(self, chunk: Chunk) -> bool:
        """Tell that an agent takes a chunk in hand; False when it's void and must be let go."""
        if not self._admitting or chunk.epoch != self.epoch or self._failure is not None:
            return False
        self._in_hand[chunk] = None
        self._nothing_in_hand.clear()
        return True

    def end(self, chunk: Chunk, *, done: bool) -> None:
        """Tell that the agent has let a chunk go; when it's done its offsets may be committed."""
        del self._in_hand[chunk]
        if not self._in_hand:
            self._nothing_in_hand.set()
        if not done or chunk.epoch != self.epoch:
            return
        for tp, follows, next_offset in chunk.spans:
            if self._done.get(tp) != follows:
                raise EngineError(
                    f"{tp.topic}[{tp.partition}]: a chunk following offset {follows} is done, but the one "
                    f"done last ends at {self._done.get(tp)}"
                )
            self._done[tp] = next_offset

    def oldest_in_hand(self) -> Chunk | None:
        """Return the chunk that agents at work now began first."""
        return next(iter(self._in_hand), None)

    @property
    def membership_in_doubt(self) -> bool:
        """Whether the group may have counted us out: no heartbeat was answered for the session timeout."""
        return self._thread.membership_confirmed_at is not None and not self._membership_is_young()

    def fail(self, reason: BaseException) -> None:
        """Stop taking in work and stop committing, for good; the worker sees it and exits."""
        if self._failure is None:
            self._failure = reason
            self._admitting = False
            self.app.failed(reason)

    @Service.task
    async def _watch_topics(self) -> None:
        """Ask now and then whether the topics are all there; end when one isn't for the session timeout.

        The group would share out what is left, and all would seem well.
        """
        options = self.app.options
        missing_since = time.monotonic()
        while not self.should_stop and self._failure is None:
            await asyncio.sleep(options.session_timeout_seconds / 5)
            missing = await self._thread.missing_topics()
            if not missing:
                missing_since = time.monotonic()
            elif not self.topics_missing:
                log.error("topics.missing", topics=sorted(missing))
            self.topics_missing = missing
            if missing and time.monotonic() - missing_since > options.session_timeout_seconds:
                reason = TopicsGoneError(missing)
                self.fail(reason)
                self.app.outlet.give_up(DeliveryError(str(reason)))

    # -- flush and commit ---------------------------------------------------------------------------------

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Flush and commit all that is done. One at a time; who comes second flushes what is left then."""
        async with self._flushing:
            if self._failure is not None:
                return False
            try:
                return await self._flush()
            except Exception as reason:
                log.error("flush.failed", error=type(reason).__name__)  # noqa: TRY400 (who runs us says more)
                self.fail(reason)
                return False

    async def _flush(self) -> bool:
        # First which chunks are done, then the state that they led to. States may be newer than the offsets,
        # never older: an event that is read again finds itself in the state.
        offsets = self._uncommitted()
        tables = self.app.write_behind_tables
        outlet = self.app.outlet
        if not offsets and not outlet.pending and not any(table.dirty for table in tables):
            return False
        if not self._is_member():
            return False
        await outlet.renew_fences()
        changes = [(table, await table.capture()) for table in tables]
        steps = _Steps(self.app.observer)
        await outlet.drain()
        steps.done("outlet")
        if not self._is_member():  # the broker may have kept us waiting
            for table, captured in changes:
                table.restore(captured)
            return False
        for table, captured in changes:
            table.write_changelog(captured, outlet)
        await outlet.drain({table.changelog_topic_name for table in tables})
        steps.done("changelog")
        for table, captured in changes:
            table.write_store(captured, outlet)
        steps.done("store")
        if offsets:
            await self._commit_done(offsets)
        steps.done("commit")
        self.app.observer.flushed_keys(sum(len(captured) for _, captured in changes))
        return True

    def _uncommitted(self) -> dict[TP, int]:
        return {
            tp: offset
            for tp, offset in self._done.items()
            if offset is not None and offset != self._committed.get(tp)
        }

    async def _commit_done(self, offsets: dict[TP, int]) -> None:
        try:
            await self._thread.commit_offsets(offsets)
        except (CommitFailedError, IllegalStateError):
            # The group has moved on; whoever has the partitions now does this work again. Or a topic is gone.
            log.warning("commit.refused", partitions=len(offsets))
            return
        self._committed.update(offsets)
        self.app.observer.committed()

    def _is_member(self) -> bool:
        """Tell whether the group still counts on us, as far as we can know.

        While it may not, a successor may be at work and nothing may be written. Either a heartbeat is
        answered again, or a rebalance makes the work void. Raises EngineError when neither happens for as
        long as an unreachable broker is tried.
        """
        confirmed_at = self._thread.membership_confirmed_at
        if confirmed_at is None:
            return False
        age_seconds = membership_clock() - confirmed_at
        if age_seconds > self.app.options.broker_timeout_seconds:
            raise EngineError(
                f"no broker has confirmed this worker's membership for {age_seconds:.0f} seconds"
            )
        if not self._membership_is_young():
            log.warning("flush.postponed", reason="membership unconfirmed", seconds=round(age_seconds, 1))
            return False
        return True

    def _membership_is_young(self) -> bool:
        """Tell whether the group can't have given our partitions to another yet."""
        confirmed_at = self._thread.membership_confirmed_at
        timeout_seconds = self.app.options.session_timeout_seconds
        return confirmed_at is not None and membership_clock() - confirmed_at <= timeout_seconds

    def lags(self) -> dict[TP, int]:
        """Return how many records of each assigned partition are not committed, as of the newest fetch.

        A partition that hasn't been asked for yet is left out.
        """
        ends = {tp: self._thread.end_seen(tp) for tp in self._committed}
        return {tp: max(0, end - (self._committed[tp] or 0)) for tp, end in ends.items() if end is not None}

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust's watch for single messages fails the worker where a seek is under way."""

    async def on_task_error(self, exc: BaseException) -> None:
        """Do nothing: Faust would commit here, whatever the error was."""

    # -- rebalance and stop -------------------------------------------------------------------------------

    async def wait_empty(self) -> None:
        """Let agents finish the chunks in hand, take no new ones, flush and commit."""
        self._admitting = False
        if self._failure is not None:
            return
        try:
            await asyncio.wait_for(self._nothing_in_hand.wait(), self.app.options.drain_timeout_seconds)
        except TimeoutError:
            self.fail(
                EngineError(
                    f"an agent has had a chunk in hand for {self.app.options.drain_timeout_seconds:g} seconds"
                )
            )
            return
        await self.commit()
        if self.app.should_stop and self._uncommitted() and self._failure is None:
            # Membership unconfirmed, or the group has moved on: an exit that says all is well would lie.
            self.fail(EngineError("what was done last could not be committed before the stop"))

    async def commit_and_end_transactions(self) -> None:
        """Commit, waiting for a commit that is under way; Faust would return without."""
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish, flush, commit, and only then forget; Faust forgets first."""
        if self._flushing.locked() and not self._membership_is_young():
            # Suspended in mid-flush, say. Others have our partitions, and what is not sent must not be.
            self.app.outlet.give_up(DeliveryError("the group has moved on in the middle of a flush"))
        if self.app.should_stop:
            # Faust would only close the client that this has to be committed with.
            await self.wait_empty()
        else:
            await self._on_partitions_revoked(revoked)
        async with self._flushing:
            self._forget()
        self._paused_partitions.difference_update(revoked)
        self._get_active_partitions().difference_update(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take what the group gives, unless the worker is stopping; Faust would close the client then."""
        self._rebalance = self.app.rebalances
        if not self.app.should_stop:
            await super().on_partitions_assigned(assigned, generation_id)

    @property
    def sharing_out(self) -> bool:
        """Whether the group has begun to share out anew, and not given us our part yet."""
        return self.app.rebalances != self._rebalance

    def _forget(self) -> None:
        self.epoch += 1
        self._admitting = False
        self._positioned = False
        for offsets in (self._done, self._delivered, self._committed):
            offsets.clear()
        self._in_step.clear()
        self._read_offset.clear()
        for table in self.app.write_behind_tables:
            table.forget()

    async def perform_seek(self) -> None:
        """Go back to the committed offsets. What was fetched before is void.

        Raises IllegalStateError, after which Faust waits for the next assignment, when the group shares out
        anew meanwhile: a recovery that ends then would let work in on partitions that others are given, and
        before the tables of those that are new here are recovered.
        """
        rebalance = self._rebalance
        self._admitting = False
        self._raise_if_overtaken(rebalance)
        # A fetch under way could hand out what it gets after the seek, and nobody would want it.
        await self._no_fetch_under_way.wait()
        async with self._flushing:
            self._forget()
        streams = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        try:
            committed = await self._thread.seek_streams(streams)
        except OffsetsLostError as reason:
            self.fail(reason)
            return
        self._raise_if_overtaken(rebalance)
        for offsets in (self._done, self._delivered, self._committed):
            offsets.update(committed)
        self._positioned = True

    def _raise_if_overtaken(self, rebalance: int) -> None:
        if self.app.rebalances != rebalance:
            raise IllegalStateError("the group shares out anew")

    def resume_flow(self) -> None:
        """Let data in: changelogs always, streams once they stand at their committed offsets."""
        self._admitting = self._positioned and not self.sharing_out and self._failure is None
        super().resume_flow()


class _Steps:
    """Times the steps of a flush, each from the end of the one before."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._started = time.perf_counter()

    def done(self, step: str) -> None:
        now = time.perf_counter()
        self._observer.flush_step(step, now - self._started)
        self._started = now


class ChunkTransport(driver.Transport):
    """Faust's Kafka transport with our consumer."""

    Consumer: ClassVar[type[ChunkConsumer]] = ChunkConsumer
