"""Offsets that are gone: found at both ends, and never gone past in silence."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import IllegalStateError, OffsetOutOfRangeError
from faust.types import TP

from engine.consumer_thread import ChunkConsumerThread
from engine.lost import Gap, OffsetsLostError, find_gaps
from tests.engine.fakes import RAW, Engine, Message

PARTITION = TopicPartition("raw", 0)


class FakeOffsets:
    """Has the offsets 10 to 19 of every partition."""

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 10)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 20)


@pytest.mark.parametrize("wanted", [10, 15, 20])
async def test_what_can_be_read_or_comes_next_is_no_gap(wanted: int) -> None:
    assert await find_gaps(FakeOffsets(), {PARTITION: wanted}) == []
    assert await find_gaps(FakeOffsets(), {}) == []


@pytest.mark.parametrize(
    ("wanted", "lost", "sentence"),
    [
        (
            9,
            1,
            "partition 0 of raw begins at offset 10 now, but offset 9 is to be read next; messages removed "
            "before they were read: 1",
        ),
        (21, None, "partition 0 of raw ends at offset 20, before offset 21, which is to be read next"),
    ],
)
async def test_what_was_removed_or_never_was_is_a_gap(wanted: int, lost: int | None, sentence: str) -> None:
    gaps = await find_gaps(FakeOffsets(), {PARTITION: wanted})
    assert gaps == [Gap("raw", 0, wanted, 10, 20)]
    assert gaps[0].lost == lost
    assert sentence in str(OffsetsLostError(gaps))


async def test_what_was_forgotten_is_a_gap_where_the_first_messages_are_gone() -> None:
    (gap,) = await find_gaps(FakeOffsets(), {PARTITION: None})
    assert gap == Gap("raw", 0, None, 10, 20)
    assert gap.lost is None
    assert "begins at offset 10 now, and the broker has forgotten how far it was read" in str(gap)


async def test_a_committed_offset_that_is_gone_ends_the_worker(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    consumer = engine.consumer()
    gone = OffsetsLostError([Gap("raw", 0, 9, 10, 20)])

    async def seek_streams(_: Iterable[TP]) -> dict[TP, int | None]:
        raise gone

    consumer.thread.seek_streams = seek_streams  # type: ignore[method-assign, assignment]
    await consumer.perform_seek()
    consumer.resume_flow()
    consumer.thread.fetches.append({RAW: [Message(10)]})
    assert await consumer.fetched() == []
    assert engine.app._failure_reason is gone
    assert not engine.app.recovered


async def test_an_offset_that_goes_while_it_is_fetched_ends_the_worker(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    consumer = await engine.positioned_consumer()
    gone = OffsetsLostError([Gap("raw", 0, 9, 10, 20)])

    async def getmany(*_: object) -> Mapping[TP, Sequence[Message]]:
        raise gone

    consumer.thread.getmany = getmany  # type: ignore[method-assign, assignment]
    assert await consumer.fetched() == []
    assert engine.app._failure_reason is gone
    assert not await consumer.commit()


async def test_an_offset_that_is_gone_of_a_partition_that_is_too_is_no_error(tmp_path: Path) -> None:
    """A rebalance may take the partition while the broker is asked what it has."""

    async def fetched_records(*_: object, **__: object) -> None:
        raise OffsetOutOfRangeError({PARTITION: 9})

    class AIOKafkaConsumer(FakeOffsets):
        _closed = False
        _coordinator = SimpleNamespace(check_errors=lambda: None)
        _fetcher = SimpleNamespace(
            _closed=False,
            _records={},
            _subscriptions=SimpleNamespace(fetch_context=nullcontext),
            fetched_records=fetched_records,
        )

        def seek(self, *_: object) -> None:
            raise IllegalStateError

    thread = object.__new__(ChunkConsumerThread)
    thread.app = Engine(tmp_path, reset_offsets=True).app
    thread.consumer = cast(Any, SimpleNamespace(flow_active=True))
    assert await thread._fetch_records(cast(Any, AIOKafkaConsumer()), {TP("raw", 0)}) == {}


def test_aiokafka_tells_of_an_offset_that_is_gone_only_without_a_reset(tmp_path: Path) -> None:
    assert Engine(tmp_path).app.conf.consumer_auto_offset_reset == "none"
    source = inspect.getsource(Fetcher)
    assert "Errors.OffsetOutOfRangeError({tp: fetch_offset})" in source
    assert "Errors.NoOffsetForPartitionError(tp)" in source
    # Whoever seeks takes such an error away again.
    assert "del self._records[tp]" in inspect.getsource(Fetcher.seek_to)
    assert "del self._records[tp]" in inspect.getsource(Fetcher.request_offset_reset)
