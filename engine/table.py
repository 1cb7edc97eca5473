"""The write-behind table: a changed key costs one changelog row per flush, not one per event.

Faust's table encodes every change twice, queues a changelog row and a RocksDB put for each, and can commit
an offset before the changelog row it depends on has been delivered. Here a change only replaces a decoded
value in a bounded cache; a flush writes each changed key's newest value first to the changelog (acknowledged)
and then to RocksDB, together with its changelog offset, in one batch. This is Kafka Streams' record cache.

What Faust keeps: the changelog topic's place in the assignment, recovery and standby copies, and the opening
and closing of one RocksDB per partition. Changelogs arrive in chunks too.
"""

import asyncio
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, TypeVar

import faust
import rocksdict
import structlog
from faust.types import TP

from engine.chunks import Chunk, PassThrough
from engine.errors import ChangelogLostError, StoredValueError, StoreError
from engine.fence import FencingRefusedError
from engine.outlet import Outlet

log = structlog.stdlib.get_logger("gradewatch.engine")

V = TypeVar("V")

#: How many keys a flush takes before it lets others work, which takes about as many tens of microseconds.
KEYS_AT_ONCE: Final = 64

#: For each partition's database. (Faust's default is 2 GiB of block cache and three write buffers of 64 MiB.)
ROCKSDB_OPTIONS: Final = {
    "driver": "rocksdict",
    "block_cache_size": 16 * 1024 * 1024,
    "write_buffer_size": 8 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "max_open_files": 200,
    "bloom_filter_size": 10,
}


@dataclass(frozen=True, slots=True)
class TableCodec(Generic[V]):
    """How a table's values become bytes and back; `decode` raises ValueError on what it can't read."""

    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    #: The greatest first byte that `decode` reads: a recovery ends at a row with a greater one, so that a
    #: worker that can't read what a newer release has written says so before it takes up any work.
    newest_format: int = 0xFF


class Cell(Generic[V]):
    """One key's place in the cache.

    `value` is the newest, `stored` what the changelog and the store have; the same object when nothing
    changed since. `notes` and `memo` are the owner's: notes end when all of the cell is written, the memo
    when the cell leaves the cache.
    """

    __slots__ = ("memo", "notes", "stored", "value")

    def __init__(self, stored: V | None) -> None:
        self.value = stored
        self.stored = stored
        self.notes: dict[str, Any] = {}
        self.memo: dict[str, Any] = {}


class PartitionCache(Generic[V]):
    """The cells of one partition: newest use last; changed ones are kept until they are written."""

    __slots__ = ("_cells", "_load", "_max_clean", "dirty")

    def __init__(self, load: Callable[[bytes], V | None], max_cells: int) -> None:
        self._cells: OrderedDict[bytes, Cell[V]] = OrderedDict()
        self._load = load
        self._max_clean = max_cells
        self.dirty: dict[bytes, Cell[V]] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def cell(self, key: bytes) -> Cell[V]:
        """Return the key's cell, read from the store when it isn't cached."""
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(self._load(key))
        else:
            self._cells.move_to_end(key)
        return cell

    def change(self, key: bytes, cell: Cell[V], value: V) -> None:
        """Give a key a new value; it's written with the next flush."""
        cell.value = value
        self.dirty[key] = cell

    def trim(self) -> None:
        """Forget the cells used longest ago that need no writing, down to the limit."""
        excess = len(self._cells) - self._max_clean
        if excess <= 0:
            return
        for key in [
            key for key, cell in self._first(excess) if cell.value is cell.stored and key not in self.dirty
        ]:
            del self._cells[key]

    def _first(self, count: int) -> Iterable[tuple[bytes, Cell[V]]]:
        cells = iter(self._cells.items())
        return (next(cells) for _ in range(count))


class Change(NamedTuple, Generic[V]):
    """What a flush writes of one key."""

    partition: int
    key: bytes
    cell: Cell[V]
    value: V
    encoded: bytes


class WriteBehindTable(faust.Table[bytes, bytes], Generic[V]):
    """A Faust table driven by cells instead of items.

    Partition numbers are those of the source topic, whose number of partitions the changelog has too.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        partitions: int,
        codec: TableCodec[V],
        max_cells: int,
        on_capture: Callable[[bytes, Cell[V]], None],
    ) -> None:
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            schema=PassThrough(),
            store="rocksdb://",
            options=ROCKSDB_OPTIONS,
            # Counted in chunks here. (1 is Faust's mark for a table that is never done recovering.)
            recovery_buffer_size=2,
        )
        self._codec = codec
        self._newest_format = bytes([codec.newest_format])
        # `max_cells` is for the worker, however many partitions it has.
        self._cells_per_partition = max(1, max_cells // partitions)
        self._on_capture = on_capture
        self._caches: dict[int, PartitionCache[V]] = {}
        #: Changelog records read since the partition's last recovery.
        self._recovered: Counter[int] = Counter()
        self._rebalanced_at = 0.0
        self._unreadable = False

    # -- for agents ---------------------------------------------------------------------------------------

    def partition(self, partition: int) -> PartitionCache[V]:
        """Return the cache of a partition that this worker has been assigned."""
        cache = self._caches.get(partition)
        if cache is None:
            cache = self._caches[partition] = PartitionCache(
                lambda key: self._read(partition, key), self._cells_per_partition
            )
        return cache

    def _read(self, partition: int, key: bytes) -> V | None:
        with self._store_errors():
            value = self._database(partition).get(key)
        return None if value is None else self._decode(partition, value)

    def _decode(self, partition: int, value: bytes) -> V:
        try:
            return self._codec.decode(value)
        except ValueError as error:
            raise StoredValueError(f"table {self.name}, partition {partition}: {error}") from error

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Raise what RocksDB raises, which has no type of its own or is the system's, as a StoreError."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception and not isinstance(error, OSError):
                raise
            reason = " ".join(str(error).split()).rstrip(".")
            raise StoreError(f"table {self.name}: {reason}") from error

    def _database(self, partition: int) -> Any:
        store: Any = self.data  # Faust's RocksDB store; its base class doesn't know databases
        return store._db_for_partition(partition)

    # -- for the flush ------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether any key waits to be written."""
        return any(cache.dirty for cache in self._caches.values())

    async def capture(self) -> list[Change[V]]:
        """Take what has changed since the last capture; the owner queues what follows from it.

        Lets others work in between: what they change meanwhile is taken too, or with the next capture.
        """
        changes: list[Change[V]] = []
        encode = self._codec.encode
        for partition, cache in list(self._caches.items()):
            captured, cache.dirty = cache.dirty, {}
            for key, cell in captured.items():
                value = cell.value
                if value is None:
                    raise RuntimeError("a changed cell has a value")
                self._on_capture(key, cell)
                changes.append(Change(partition, key, cell, value, encode(value)))
                cache.dirty.pop(key, None)
                if not len(changes) % KEYS_AT_ONCE:
                    await asyncio.sleep(0)
        return changes

    def restore(self, changes: Iterable[Change[V]]) -> None:
        """Take a capture back: nothing of it was written, all of it still has to be."""
        for change in changes:
            cache = self._caches.get(change.partition)
            if cache is not None:
                cache.dirty.setdefault(change.key, change.cell)

    def write_changelog(self, changes: Iterable[Change[V]], outlet: Outlet) -> None:
        """Queue the captured values for the changelog."""
        topic = self.changelog_topic_name
        for change in changes:
            outlet.send(topic, change.key, change.encoded, partition=change.partition)

    def write_store(self, changes: Iterable[Change[V]], outlet: Outlet) -> None:
        """Write the captured values, acknowledged by the changelog, to RocksDB with their offset."""
        writes = _Writes()
        for change in changes:
            writes.of(change.partition).put(change.key, change.encoded)
            cell = change.cell
            cell.stored = change.value
            if cell.value is change.value:
                cell.notes = {}
        for partition in writes.partitions:
            offset = outlet.last_offset(TP(self.changelog_topic_name, partition))
            if offset is None:
                raise RuntimeError("the changelog is acknowledged before the store is written")
            self._write(partition, writes, offset)
            if partition in self._caches:
                self._caches[partition].trim()

    def _write(self, partition: int, writes: "_Writes", offset: int) -> None:
        store: Any = self.data
        write = writes.of(partition)
        write.put(store.offset_key, str(offset).encode())
        with self._store_errors():
            self._database(partition).write(write)

    def forget(self) -> None:
        """Drop all cells: partitions are being given up, or their work is void."""
        self._caches.clear()

    @property
    def changelog_topic_name(self) -> str:
        """The changelog's name, as Faust gives it."""
        return str(self._changelog_topic_name())

    def estimated_keys(self) -> int:
        """Return RocksDB's estimate of the keys in this worker's partitions, standby copies included."""
        store: Any = self.data
        estimates = (db.property_int_value("rocksdb.estimate-num-keys") for db in list(store._dbs.values()))
        return sum(estimate or 0 for estimate in estimates)

    def has_rows(self) -> bool:
        """Whether there is anything in this worker's partitions."""
        store: Any = self.data
        with self._store_errors():
            keys = chain.from_iterable(itertools.islice(db.keys(), 2) for db in store._dbs.values())
            return any(key != store.offset_key for key in keys)

    # -- for Faust's rebalances and recovery ---------------------------------------------------------------

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Open what is assigned, and see to it that no worker before this one writes to its changelog."""
        with self._store_errors():
            await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        await self._take_over(assigned)
        self._rebalanced_at = time.perf_counter()

    async def _take_over(self, assigned: set[TP]) -> None:
        app: Any = self.app
        topic = self.changelog_topic_name
        active = [tp for tp in assigned & app.assignor.assigned_actives() if tp.topic == topic]
        for tp in active:
            self._recovered.pop(tp.partition, None)  # what was read for a standby copy
        keys = {tp.partition: _fence_key(app.outlet, tp) for tp in active}
        try:
            offsets = await app.outlet.fence(topic, keys)
        except FencingRefusedError as error:
            log.warning("changelog.unfenced", table=self.name, reason=str(error))
            return
        for partition, offset in offsets.items():
            stored = self.persisted_offset(TP(topic, partition))
            if stored is not None and offset is not None and offset <= stored:
                # Faust looks too, but not where the new changelog has a single record.
                raise ChangelogLostError(
                    f"table {self.name}, partition {partition}: the local copy has offset {stored} of the "
                    f"changelog, which ends before it"
                )
            if offset is not None and offset == (0 if stored is None else stored + 1):
                # Nothing lies between: spared from being read.
                self._write(partition, _Writes(), offset)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the newest changelog offset whose row the local copy has."""
        with self._store_errors():
            return super().persisted_offset(tp)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Write recovered chunks to RocksDB, each partition with its offset in one batch.

        At a row that a newer release wrote the worker ends, and nothing more is written.
        """
        try:
            self._apply(batch)
        except StoredValueError as reason:
            # Not by raising it: Faust would print a traceback.
            self._unreadable = True
            app: Any = self.app  # its interface does not know failure
            app.failed(reason)

    def _apply(self, batch: Iterable[Any]) -> None:
        if self._unreadable:
            return  # an offset written now would go past the row
        newest_format = self._newest_format
        writes = _Writes()
        offsets: dict[int, int] = {}
        for event in batch:
            chunk: Chunk = event.value
            write = writes.of(chunk.tp.partition)
            for record in chain.from_iterable(piece.records for piece in chunk.pieces()):
                if record.key is None:
                    continue  # no changelog row of ours: those all have keys
                if record.value is None:
                    write.delete(record.key)
                    continue
                if record.value[:1] > newest_format:
                    self._decode(chunk.tp.partition, record.value)
                write.put(record.key, record.value)
            offsets[chunk.tp.partition] = chunk.spans[0].next_offset - 1
            self._recovered[chunk.tp.partition] += chunk.unpacked
        for partition, offset in offsets.items():
            self._write(partition, writes, offset)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Tell which partitions were read from their changelog; most have all of it in the store already."""
        await super().on_recovery_completed(active_tps, standby_tps)
        seconds = round(time.perf_counter() - self._rebalanced_at, 3)
        for tp in sorted(active_tps):
            records = self._recovered.pop(tp.partition, 0) if tp.topic == self.changelog_topic_name else 0
            if records:
                log.info(
                    "partition.recovered",
                    table=self.name,
                    partition=tp.partition,
                    records=records,
                    seconds=seconds,
                )


def _fence_key(outlet: Outlet, tp: TP) -> bytes:
    """Return a key that no row has and that the partitioner puts into this partition, as it does with all."""
    keys = (b"__fence__/%d" % number for number in itertools.count())
    return next(key for key in keys if outlet.partition_for(tp.topic, key) == tp.partition)


class _Writes:
    """One RocksDB write batch per partition."""

    def __init__(self) -> None:
        self._batches: dict[int, rocksdict.WriteBatch] = {}

    @property
    def partitions(self) -> list[int]:
        return list(self._batches)

    def of(self, partition: int) -> rocksdict.WriteBatch:
        batch = self._batches.get(partition)
        if batch is None:
            batch = self._batches[partition] = rocksdict.WriteBatch(raw_mode=True)
        return batch
