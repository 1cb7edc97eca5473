"""Stand-ins for what the engine works with: lists and dicts that note what they are asked, in one journal."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from faust.types import TP
from mode import Service

from engine.app import ChunkApp, EngineOptions
from engine.chunks import Chunk, Span
from engine.consumer import ChunkConsumer, ChunkTransport
from engine.consumer_thread import membership_clock
from engine.outlet import Outlet
from engine.table import Cell, TableCodec, WriteBehindTable
from engine.unpacking import Batch

RAW, RECORDS = TP("raw", 0), TP("records", 0)
CHANGELOG = "app-table-changelog"


@dataclass
class Message:
    """A message as the engine gets it."""

    offset: int
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    timestamp: int = 1_000
    headers: Sequence[tuple[str, bytes]] = ()


class Journal(list[str]):
    """What happened, in order; `fail_at` names steps that raise instead."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_at: dict[str, Exception] = {}

    def note(self, step: str) -> None:
        self.append(step)
        if step in self.fail_at:
            raise self.fail_at[step]


class FakeObserver:
    """Takes no notice, but for chunks and commits."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, int]] = []
        self.commits = 0

    def chunk(self, agent: str, chunk: Chunk, seconds: float) -> None:
        self.chunks.append((agent, chunk.unpacked))

    def flush_step(self, step: str, seconds: float) -> None:
        """Take no notice."""

    def flushed_keys(self, keys: int) -> None:
        """Take no notice."""

    def committed(self) -> None:
        self.commits += 1


class FakeOutlet:
    """Acknowledges everything at each drain."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.sent: list[tuple[str, int | None, bytes | None, bytes | None]] = []
        self.pending = False
        self.silent_seconds = 0.0
        self.offsets: dict[TP, int] = {}

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        *,
        partition: int | None = None,
    ) -> "asyncio.Future[None]":
        self.sent.append((topic, partition, key, value))
        self.pending = True
        if partition is not None:
            tp = TP(topic, partition)
            self.offsets[tp] = self.offsets.get(tp, -1) + 1
        return asyncio.get_running_loop().create_future()

    def give_up(self, reason: Exception) -> None:
        self.journal.note("give up")

    async def renew_fences(self) -> None:
        """Take no notice."""

    async def drain(self, topics: Collection[str] | None = None) -> None:
        self.journal.note("drain" if topics is None else f"drain {','.join(sorted(topics))}")
        self.pending = False

    def last_offset(self, tp: TP) -> int | None:
        return self.offsets.get(tp)


class FakeTable:
    """A table whose only key has changed when a test says so."""

    changelog_topic_name = CHANGELOG

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.dirty = False

    async def capture(self) -> list[str]:
        self.journal.note("capture")
        captured, self.dirty = ["change"] if self.dirty else [], False
        return captured

    def restore(self, changes: Iterable[str]) -> None:
        self.journal.note("restore")
        self.dirty = self.dirty or bool(list(changes))

    def write_changelog(self, changes: Sequence[str], outlet: FakeOutlet) -> None:
        self.journal.note("changelog")

    def write_store(self, changes: Sequence[str], outlet: FakeOutlet) -> None:
        self.journal.note("store")

    def forget(self) -> None:
        self.journal.note("forget")
        self.dirty = False


class FakeThread(Service):
    """Stands for the thread with aiokafka's consumer: `committed` is the broker's memory."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.membership_confirmed_at: float | None = membership_clock()
        self.committed: dict[TP, int | None] = {RAW: None, RECORDS: None}
        self.fetches: list[Mapping[TP, Sequence[Message]]] = []
        self.asked: list[set[TP]] = []
        self.fetching: asyncio.Event | None = None
        self.missing: frozenset[str] = frozenset()

    async def missing_topics(self) -> frozenset[str]:
        return self.missing

    def assignment(self) -> set[TP]:
        return set(self.committed)

    def end_seen(self, tp: TP) -> int | None:
        return 100 if tp == RECORDS else None

    def is_behind(self, tp: TP) -> bool:
        return False

    async def getmany(self, tps: set[TP], timeout: float) -> Mapping[TP, Sequence[Batch]]:  # noqa: ASYNC109
        self.asked.append(set(tps))
        if self.fetching is not None:
            await self.fetching.wait()
        fetched = self.fetches.pop(0) if self.fetches else {}
        return {tp: [Batch.of(messages)] for tp, messages in fetched.items()}

    async def seek_streams(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        self.journal.note("seek")
        return {tp: self.committed[tp] for tp in tps}

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        self.journal.note("commit")
        self.committed.update(offsets)


class Consumer(ChunkConsumer):
    """The engine's consumer over a fake thread."""

    def _new_consumer_thread(self) -> Any:
        return FakeThread(cast(Any, self.app.outlet).journal)

    @property
    def thread(self) -> FakeThread:
        return cast(FakeThread, self._thread)

    async def fetched(self) -> list[Chunk]:
        """Return the chunks that the next fetch gives."""
        return [cast(Chunk, message.value) async for _, message in self.getmany(1.0)]

    def done_by(self, chunk: Chunk) -> None:
        """Take a chunk in hand and let it go, done."""
        assert self.begin(chunk)
        self.end(chunk, done=True)


class Engine:
    """An app that isn't started, with everything around it faked."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal = Journal()
        self.outlet = FakeOutlet(self.journal)
        self.observer = FakeObserver()
        self.app = ChunkApp(
            EngineOptions("app", ["127.0.0.1:1"], folder, **options),
            cast(Outlet, self.outlet),
            self.observer,
        )
        self.table = FakeTable(self.journal)
        self.app.write_behind_tables.append(cast(Any, self.table))

    def consumer(self) -> Consumer:
        """Make the app's consumer."""

        async def unused(*_: object) -> None:
            raise AssertionError("no callback is due")

        async def revoked(_: set[TP]) -> None:
            """Do of Faust's part what concerns the consumer."""
            await self.app._consumer.wait_empty()

        transport = ChunkTransport([], cast(Any, self.app))
        consumer = Consumer(
            transport, callback=unused, on_partitions_revoked=revoked, on_partitions_assigned=unused
        )
        consumer._set_active_tps({RAW, RECORDS})
        self.app._consumer = consumer
        return consumer

    async def positioned_consumer(self) -> Consumer:
        """Make the consumer and let it seek, as after an assignment; forget what was noted by then."""
        consumer = self.consumer()
        await consumer.perform_seek()
        consumer.resume_flow()
        self.journal.clear()
        return consumer


def chunk(*offsets: int, tp: TP = RECORDS, follows: int | None = None, epoch: int = 1) -> Chunk:
    messages = [Message(offset) for offset in offsets]
    return Chunk({tp: [Batch.of(messages)]}, (Span(tp, follows, offsets[-1] + 1),), epoch)


def text_table(
    engine: Engine, *, max_cells: int = 100, on_capture: Callable[[bytes, Cell[str]], None] | None = None
) -> WriteBehindTable[str]:
    """Return a table of texts with two partitions on a RocksDB of its own."""

    def take(key: bytes, cell: Cell[str]) -> None:
        """Take no notice."""

    table = engine.app.write_behind_table(
        "table",
        partitions=2,
        codec=TableCodec(str.encode, bytes.decode),
        max_cells=max_cells,
        on_capture=on_capture or take,
    )
    engine.app._create_directories()
    return table
