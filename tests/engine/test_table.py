"""The write-behind table: what a flush takes and writes, what the cache lets go, what recovery brings."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from engine.chunks import Chunk, Span
from engine.errors import StoredValueError, StoreError
from engine.table import KEYS_AT_ONCE, Cell, PartitionCache, TableCodec, WriteBehindTable
from engine.unpacking import Batch
from tests.engine.fakes import CHANGELOG, Engine, Message, text_table


@pytest.fixture
async def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def change(table: WriteBehindTable[str], partition: int, key: bytes, value: str) -> Cell[str]:
    cache = table.partition(partition)
    cell = cache.cell(key)
    cache.change(key, cell, value)
    return cell


async def flush(engine: Engine, table: WriteBehindTable[str]) -> None:
    changes = await table.capture()
    table.write_changelog(changes, cast(Any, engine.outlet))
    table.write_store(changes, cast(Any, engine.outlet))


def stored(table: WriteBehindTable[str], partition: int, key: bytes) -> bytes | None:
    value: bytes | None = table._database(partition).get(key)
    return value


def persisted_offset(table: WriteBehindTable[str], partition: int) -> int | None:
    offset: int | None = cast(Any, table.data).persisted_offset(TP(CHANGELOG, partition))
    return offset


# -- the cache ---------------------------------------------------------------------------------------------


def cache_over(stored: dict[bytes, str], max_cells: int) -> PartitionCache[str]:
    return PartitionCache(stored.get, max_cells)


def test_a_cell_is_read_once_and_then_kept() -> None:
    stored = {b"a": "1"}
    cache = cache_over(stored, 10)
    cell = cache.cell(b"a")
    stored.clear()
    assert cache.cell(b"a") is cell
    assert (cell.value, cell.stored) == ("1", "1")
    assert cache.cell(b"b").value is None


def test_trimming_lets_go_what_was_used_longest_ago() -> None:
    cache = cache_over({b"a": "1", b"b": "2", b"c": "3"}, 2)
    a, b, c = (cache.cell(key) for key in (b"a", b"b", b"c"))
    assert cache.cell(b"a") is a
    cache.trim()
    assert len(cache) == 2
    assert cache.cell(b"a") is a
    assert cache.cell(b"c") is c
    assert cache.cell(b"b") is not b


def test_trimming_keeps_what_is_not_written_yet() -> None:
    cache = cache_over({}, 1)
    changed = cache.cell(b"changed")
    cache.change(b"changed", changed, "new")
    in_flight = cache.cell(b"in flight")
    cache.change(b"in flight", in_flight, "new")
    del cache.dirty[b"in flight"]  # a flush has taken it and has not written it yet
    for number in range(5):
        cache.cell(b"%d" % number)
    cache.trim()
    assert cache.cell(b"changed") is changed
    assert cache.cell(b"in flight") is in_flight
    assert len(cache) == 3  # more than may be: both, and the one used last


# -- flushes -----------------------------------------------------------------------------------------------


async def test_a_flush_writes_each_changed_keys_newest_value_once(engine: Engine) -> None:
    captured: list[tuple[bytes, str | None]] = []
    table = text_table(engine, on_capture=lambda key, cell: captured.append((key, cell.value)))
    assert not table.dirty
    for value in ("1", "2", "3"):
        change(table, 0, b"a", value)
    change(table, 1, b"b", "4")
    assert table.dirty
    await flush(engine, table)
    assert captured == [(b"a", "3"), (b"b", "4")]
    assert engine.outlet.sent == [(CHANGELOG, 0, b"a", b"3"), (CHANGELOG, 1, b"b", b"4")]
    assert not table.dirty
    assert (stored(table, 0, b"a"), stored(table, 1, b"b")) == (b"3", b"4")
    assert stored(table, 1, b"a") is None
    assert await table.capture() == []


async def test_the_stores_offset_is_that_of_the_changelog_and_lies_in_the_same_batch(engine: Engine) -> None:
    table = text_table(engine)
    assert persisted_offset(table, 0) is None
    for number in range(3):
        change(table, 0, b"%d" % number, "v")
    await flush(engine, table)
    assert persisted_offset(table, 0) == 2
    change(table, 0, b"0", "w")
    await flush(engine, table)
    assert persisted_offset(table, 0) == 3
    assert persisted_offset(table, 1) is None

    batches: list[Any] = []
    database = table._database(0)
    recording: Any = SimpleNamespace(write=batches.append, get=database.get)
    cast(Any, table)._database = lambda _: recording
    change(table, 0, b"0", "x")
    await flush(engine, table)
    (batch,) = batches
    assert batch.len() == 2  # the row and its offset


async def test_a_store_is_not_written_before_its_changelog(engine: Engine) -> None:
    table = text_table(engine)
    change(table, 0, b"a", "1")
    with pytest.raises(RuntimeError, match="the changelog is acknowledged before"):
        table.write_store(await table.capture(), cast(Any, engine.outlet))
    assert stored(table, 0, b"a") is None


async def test_a_capture_that_is_taken_back_is_taken_again(engine: Engine) -> None:
    table = text_table(engine)
    change(table, 0, b"a", "1")
    change(table, 0, b"b", "1")
    changes = await table.capture()
    change(table, 0, b"a", "2")
    table.restore(changes)
    assert {each.key: each.value for each in await table.capture()} == {b"a": "2", b"b": "1"}


async def test_a_change_during_a_flush_waits_for_the_next(engine: Engine) -> None:
    table = text_table(engine)
    cell = change(table, 0, b"a", "1")
    cell.notes["about"] = "both"
    changes = await table.capture()
    change(table, 0, b"a", "2")
    table.write_changelog(changes, cast(Any, engine.outlet))
    table.write_store(changes, cast(Any, engine.outlet))
    assert (cell.stored, cell.value, cell.notes) == ("1", "2", {"about": "both"})
    assert stored(table, 0, b"a") == b"1"
    await flush(engine, table)
    assert (cell.stored, cell.notes) == ("2", {})
    assert stored(table, 0, b"a") == b"2"


async def test_a_large_flush_lets_others_work_and_takes_what_they_change_once(engine: Engine) -> None:
    table = text_table(engine)
    keys = [b"%d" % number for number in range(3 * KEYS_AT_ONCE)]
    for key in keys:
        change(table, 0, key, "1")
    capturing = asyncio.create_task(table.capture())
    await asyncio.sleep(0)
    change(table, 0, keys[0], "2")  # taken already: with the next flush
    change(table, 0, keys[-1], "2")  # still to be taken: with this one, and only with this one
    taken = {each.key: each.value for each in await capturing}
    assert len(taken) == len(keys)
    assert (taken[keys[0]], taken[keys[-1]]) == ("1", "2")
    assert {each.key: each.value for each in await table.capture()} == {keys[0]: "2"}


async def test_what_the_cache_let_go_is_read_from_the_store(engine: Engine) -> None:
    table = text_table(engine, max_cells=4)  # two for each partition
    cells = {key: change(table, 0, key, key.decode()) for key in (b"a", b"b", b"c")}
    await flush(engine, table)
    assert len(table.partition(0)) == 2
    again = table.partition(0).cell(b"a")
    assert again is not cells[b"a"]
    assert (again.value, again.stored) == ("a", "a")
    assert table.partition(0).cell(b"c") is cells[b"c"]


async def test_given_up_partitions_forget_what_was_not_written(engine: Engine) -> None:
    table = text_table(engine)
    change(table, 0, b"a", "1")
    await flush(engine, table)
    change(table, 0, b"a", "2")
    table.forget()
    assert not table.dirty
    assert table.partition(0).cell(b"a").value == "1"


async def test_keys_are_estimated_over_all_partitions(engine: Engine) -> None:
    table = text_table(engine)
    for number in range(10):
        change(table, number % 2, b"%d" % number, "v")
    await flush(engine, table)
    assert table.estimated_keys() == 12  # with the two offsets


# -- recovery ----------------------------------------------------------------------------------------------


def recovered(partition: int, *rows: tuple[int, bytes | None, bytes | None]) -> SimpleNamespace:
    messages = [Message(offset, key, value) for offset, key, value in rows]
    span = Span(TP(CHANGELOG, partition), None, rows[-1][0] + 1)
    return SimpleNamespace(value=Chunk({span.tp: [Batch.of(messages)]}, (span,), 0))


async def test_recovery_writes_the_newest_of_each_key_and_the_offset(engine: Engine) -> None:
    table = text_table(engine)
    table.apply_changelog_batch(
        [
            recovered(0, (3, b"a", b"1"), (5, b"b", b"1"), (6, b"a", b"2")),
            recovered(1, (0, b"c", b"1")),
            recovered(0, (7, None, b"no row of ours"), (8, b"b", None), (11, b"d", b"1")),
        ]
    )
    assert [stored(table, 0, key) for key in (b"a", b"b", b"d")] == [b"2", None, b"1"]
    assert stored(table, 1, b"c") == b"1"
    assert (persisted_offset(table, 0), persisted_offset(table, 1)) == (11, 0)
    assert table.partition(0).cell(b"a").value == "2"
    table.apply_changelog_batch([])


async def test_a_row_that_cannot_be_read_ends_the_worker_with_a_sentence(engine: Engine) -> None:
    table = text_table(engine)
    table._database(0).put(b"key", b"\xff")
    with pytest.raises(StoredValueError, match="table table, partition 0: "):
        table.partition(0).cell(b"key")


async def test_recovery_ends_at_a_row_of_a_newer_release_and_writes_nothing_past_it(engine: Engine) -> None:
    def decode(value: bytes) -> str:
        raise ValueError("a newer release wrote it")

    table = engine.app.write_behind_table(
        "table",
        partitions=2,
        codec=TableCodec(str.encode, decode, newest_format=ord("1")),
        max_cells=4,
        on_capture=lambda _key, _cell: None,
    )
    engine.app._create_directories()
    table.apply_changelog_batch([recovered(0, (0, b"a", b"1"))])
    table.apply_changelog_batch([recovered(0, (1, b"b", b"1"), (2, b"c", b"2"), (3, b"d", None))])
    table.apply_changelog_batch([recovered(0, (4, b"e", b"1"))])
    assert persisted_offset(table, 0) == 0
    assert stored(table, 0, b"e") is None
    assert str(engine.app._failure_reason) == "table table, partition 0: a newer release wrote it"


async def test_what_rocksdb_refuses_is_told_as_what_it_is(engine: Engine) -> None:
    table = text_table(engine)
    change(table, 0, b"a", "1")

    class Full:
        def write(self, _batch: object) -> None:
            raise Exception("IO error: No space left on device.\nWhile appending")  # noqa: TRY002 - as it does

    cast(Any, table.data)._dbs[0] = Full()
    with pytest.raises(
        StoreError, match=r"^table table: IO error: No space left on device\. While appending$"
    ):
        await flush(engine, table)


@pytest.mark.parametrize(
    "error", [Exception("Corruption: block checksum mismatch"), PermissionError(13, "Permission denied")]
)
async def test_what_cannot_be_read_is_told_as_what_it_is(engine: Engine, error: Exception) -> None:
    table = text_table(engine)

    class Damaged:
        def get(self, _key: bytes) -> bytes:
            raise error

    cast(Any, table.data)._dbs[0] = Damaged()
    with pytest.raises(StoreError, match=r"^table table: .*(checksum mismatch|Permission denied)$"):
        table.persisted_offset(TP(table.changelog_topic_name, 0))
    with pytest.raises(StoreError, match=r"^table table: .*(checksum mismatch|Permission denied)$"):
        table.partition(0).cell(b"a")
