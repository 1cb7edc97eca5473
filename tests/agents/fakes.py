"""Agents on a list and a dict: what they send is a list, what they keep is a dict of bytes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from faust.types import TP
from prometheus_client import CollectorRegistry

from agents.alerts import Alerts
from agents.courses import Courses
from agents.metrics import Metrics
from agents.router import DeadLetters
from agents.rules import ActiveRules
from agents.scorer import Scorer
from agents.topology import Topology
from engine.app import ChunkApp
from engine.chunks import Chunk, Span
from engine.outlet import Outlet
from engine.table import Cell, PartitionCache, TableCodec
from engine.unpacking import Batch
from tables.rulebook import Rulebook

NOW = "2026-12-24T18:00:00.000Z"
TOPOLOGY = Topology.build(prefix="", app_id="gw", partitions=1)


@dataclass
class Message:
    """A message as an agent gets it, or as it was sent."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    topic: str = ""
    offset: int = 0
    timestamp: int = 0

    @property
    def json(self) -> Any:
        return orjson.loads(self.value or b"null")


@dataclass
class FakeOutlet:
    """Has delivered whatever it is sent."""

    sent: list[Message] = field(default_factory=list)

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> "asyncio.Future[None]":
        self.sent.append(Message(value, key, headers, topic))
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivered.set_result(None)
        return delivered

    @property
    def full(self) -> bool:
        return False

    async def room(self) -> None:
        """Has room for everything."""

    def to(self, *topics: str) -> list[Message]:
        return [message for message in self.sent if message.topic in topics]


class FakeTable:
    """Keeps bytes, and of decoded values only as many as it is allowed to."""

    def __init__(self, codec: TableCodec[Any], on_capture: Callable[[bytes, Cell[Any]], None]) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._codec = codec
        self._on_capture = on_capture
        self._cache: PartitionCache[Any] = PartitionCache(self._load, max_cells=1)

    def _load(self, key: bytes) -> Any:
        return self._codec.decode(self.rows[key]) if key in self.rows else None

    def partition(self, _partition: int) -> PartitionCache[Any]:
        return self._cache

    def flush(self) -> None:
        for key, cell in self._cache.dirty.items():
            self._on_capture(key, cell)
            self.rows[key] = self._codec.encode(cell.value)
            cell.stored = cell.value
            cell.notes = {}
        self._cache.dirty = {}
        self._cache.trim()


class FakeApp:
    """Makes fake tables."""

    def write_behind_table(
        self, _name: str, *, codec: TableCodec[Any], on_capture: Callable[..., None], **_options: object
    ) -> FakeTable:
        return FakeTable(codec, on_capture)


class Bench:
    """The scorer and the agent of courses, wired as in a worker."""

    def __init__(self, book: Rulebook) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, version="")
        self.rules = ActiveRules(book, self.metrics)
        self.outlet = FakeOutlet()
        app, outlet = cast(ChunkApp, FakeApp()), cast(Outlet, self.outlet)
        dead_letters = DeadLetters(TOPOLOGY, outlet, self.metrics, version="", now=lambda: NOW)
        alerts = Alerts(TOPOLOGY, outlet, self.metrics, now=lambda: NOW)
        self.scorer = Scorer(
            app,
            TOPOLOGY,
            outlet,
            self.metrics,
            dead_letters,
            alerts,
            rules=self.rules,
            max_cached_students=1,
        )
        self.courses = Courses(app, TOPOLOGY, outlet, dead_letters, alerts, rules=self.rules)

    async def score(self, messages: Sequence[Message]) -> None:
        await self.scorer(chunk_of(TOPOLOGY.records.name, messages))

    async def count(self, messages: Sequence[Message]) -> None:
        await self.courses(chunk_of(TOPOLOGY.course_drops.name, messages))

    def flush(self) -> None:
        for agent in (self.scorer, self.courses):
            cast(FakeTable, agent.table).flush()

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def chunk_of(topic: str, messages: Sequence[Message]) -> Chunk:
    tp = TP(topic, 0)
    return Chunk({tp: [Batch.of(messages)]}, (Span(tp, None, len(messages)),), epoch=0)
