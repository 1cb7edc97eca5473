"""What is unpacked a batch at a time, when its turn comes, is what aiokafka unpacks one by one at once."""

import gc
import weakref
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from engine.unpacking import Batch, keep_packed

RAW = TopicPartition("raw", 0)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = (
    0x08,
    0x10,
    0x20,
)  # in a batch's attributes: https://kafka.apache.org/documentation/#recordbatch
ATTRIBUTES = slice(21, 23)


def batch(first_offset: int, count: int, compression: int = NONE) -> bytes:
    """Return a batch as a broker stores it: its first offset at the front, all others relative to it."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for index in range(count):
        key = None if index % 2 else b"key"
        builder.append(index, 1_000 + index, key, b"value %d" % (first_offset + index), [("name", b"x")])
    return first_offset.to_bytes(8, "big") + bytes(builder.build())[8:]


def fetched(data: bytes, begin: int, *, check_crcs: bool = True) -> tuple[FetchResult, Any]:
    state = SimpleNamespace(paused=False, position=begin)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    records = PartitionRecords(RAW, MemoryRecords(data), [], begin, None, None, check_crcs, READ_UNCOMMITTED)
    return FetchResult(RAW, assignment=assignment, partition_records=records, backoff=0), state


def what(records: Iterable[Any]) -> list[tuple[object, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records]


def unpacked(result: FetchResult) -> list[tuple[object, ...]]:
    """Return what the batches of a fetch hold, and look whether they keep what their heads promise."""
    records: list[Any] = []
    for each in cast(Sequence[Batch], result.getall()):
        promised = range(each.first_ms, each.last_ms + 1)
        given = each.records()
        assert each.at_most >= len(given)
        assert all(record.timestamp in promised and record.offset < each.next_offset for record in given)
        records += given
    return what(records)


@pytest.mark.parametrize("compression", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("begin", [0, 3, 4, 9])
def test_it_is_what_aiokafka_unpacks(compression: int, begin: int) -> None:
    stored = {4: batch(0, 4, compression), 5: batch(4, 1), 12: batch(7, 5, compression)}
    data = b"".join(each for end, each in stored.items() if end > begin)  # as a broker answers
    theirs, their_state = fetched(data, begin)
    ours, our_state = fetched(data, begin)
    keep_packed({RAW: ours})
    assert unpacked(ours) == what(theirs.getall()) != []
    assert our_state.position == their_state.position == 12
    assert not ours.has_more()
    assert ours.getall() == []


def test_what_the_broker_stamped_has_one_time() -> None:
    stamped = bytearray(batch(0, 4))
    stamped[ATTRIBUTES] = LOG_APPEND_TIME.to_bytes(2, "big")
    theirs, _ = fetched(bytes(stamped), 0, check_crcs=False)
    ours, _ = fetched(bytes(stamped), 0, check_crcs=False)
    keep_packed({RAW: ours})
    assert unpacked(ours) == what(theirs.getall())


@pytest.mark.parametrize("begin", [0, 2])
def test_batches_of_old_brokers_are_read_too(begin: int) -> None:
    builder = LegacyRecordBatchBuilder(1, GZIP, 1 << 20)
    for index in range(4):
        builder.append(index, 1_000 + index, b"key", b"value")
    data = (3).to_bytes(8, "big") + bytes(builder.build())[8:]  # the offset of the last, as a broker sets it
    theirs, _ = fetched(data, begin)
    ours, our_state = fetched(data, begin)
    keep_packed({RAW: ours})
    assert unpacked(ours) == what(theirs.getall()) != []
    assert our_state.position == 4


def test_a_broken_batch_is_refused_and_moves_nothing() -> None:
    broken = bytearray(batch(0, 4) + batch(4, 4))
    broken[-1] ^= 1
    result, state = fetched(bytes(broken), 0)
    keep_packed({RAW: result})
    with pytest.raises(CorruptRecordException):
        result.getall()
    assert state.position == 0


def test_markers_of_transactions_are_passed_over() -> None:
    marker = bytearray(batch(4, 1))
    marker[ATTRIBUTES] = (TRANSACTIONAL | CONTROL).to_bytes(2, "big")
    data = batch(0, 4) + bytes(marker)
    theirs, their_state = fetched(data, 0, check_crcs=False)
    ours, our_state = fetched(data, 0, check_crcs=False)
    keep_packed({RAW: ours})
    assert unpacked(ours) == what(theirs.getall())
    assert our_state.position == their_state.position == 5


def test_an_error_in_place_of_records_is_left_as_it_is() -> None:
    error = object()
    keep_packed({RAW: error})


def test_what_was_fetched_goes_when_its_last_batch_does() -> None:
    gc.collect()
    gc.disable()
    try:
        result, _ = fetched(batch(0, 3), 0)
        left = weakref.ref(result), weakref.ref(result._partition_records)
        keep_packed({RAW: result})
        assert len(result.getall()) == 1
        del result
        assert [each() for each in left] == [None, None]
    finally:
        gc.enable()
