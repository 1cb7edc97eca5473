"""Step 2: route each raw message to what it is: a grade record, a dead letter, or a count.

Raw topics are keyed by nothing or by message id, so a student's events lie on any partition; the records
leave keyed by student, and so does everything after them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from faust.types import TP

from agents.metrics import Metrics
from agents.topology import Topology
from agents.trails import Trail
from engine.chunks import Chunk, Record
from engine.outlet import Outlet
from models.grades import Ignored, ReadLimits, Rejected, read
from models.headers import dead_letter_headers, fit, record_headers
from models.records import GradeRecord, GradeRecordBase, MisnamedGradeOverride, encode_record

Clock: TypeAlias = Callable[[], str]
"""Tells the present time as `2026-11-22T10:15:30.123Z`."""

MESSAGES_BEFORE_ROOM: Final = 2_048
"""How many messages of a chunk are read before it waits for room. What comes of them is some 2 MiB; to wait
after each few costs a seventh of the throughput."""


class Router:
    """Reads chunks of the raw topic."""

    def __init__(
        self,
        topology: Topology,
        outlet: Outlet,
        metrics: Metrics,
        *,
        limits: ReadLimits,
        version: str,
        now: Clock,
        trail: Trail | None = None,
    ) -> None:
        self._trail = trail
        self._records = topology.records.name
        self._outlet = outlet
        self._metrics = metrics
        self._limits = limits
        self.dead_letters = DeadLetters(topology, outlet, metrics, version=version, now=now)

    async def __call__(self, chunk: Chunk) -> None:
        """Route every message of a chunk; a compressed one may have many times what the outlet takes."""
        names: dict[str, list[str | None]] = {"record": [], "ignored": [], "rejected": []}
        records, ignored, rejected = names.values()
        limits = self._limits
        since_room = 0
        for piece in chunk.pieces():
            for index, raw in enumerate(piece.records):
                event = read(raw.value, raw.timestamp, limits=limits)
                if isinstance(event, GradeRecordBase):
                    records.append(event.type)
                    self._send(event, raw)
                elif isinstance(event, Ignored):
                    ignored.append(event.event_name)
                else:
                    rejected.append(event.event_name)
                    self.dead_letters.send(raw, piece.tp_of(index), event)
            await asyncio.sleep(0)
            since_room += len(piece.records)
            if since_room >= MESSAGES_BEFORE_ROOM and self._outlet.full:
                self._count(names)
                await self._outlet.room()
                since_room = 0
        self._count(names)
        self._metrics.saw_message(chunk.newest_ms)
        await self._outlet.room()

    def _count(self, names: Mapping[str, list[str | None]]) -> None:
        """Count what was read since the last time, by outcome."""
        self._metrics.count_events(
            {(name, outcome): count for outcome in names for name, count in Counter(names[outcome]).items()}
        )
        for of_outcome in names.values():
            of_outcome.clear()

    def _send(self, record: GradeRecord, raw: Record) -> None:
        if isinstance(record, MisnamedGradeOverride):
            self._metrics.renamed_events.inc()
        headers = record_headers(record, raw.timestamp)
        if self._trail is not None:
            headers += self._trail.follow(raw)
        self._outlet.send(self._records, record.key, encode_record(record), headers)


class DeadLetters:
    """Sends what can't be read to where a person can look at it, byte for byte."""

    def __init__(
        self, topology: Topology, outlet: Outlet, metrics: Metrics, *, version: str, now: Clock
    ) -> None:
        self._topic = topology.dead_letters.name
        self._outlet = outlet
        self._metrics = metrics
        self._version = version
        self._now = now

    def send(self, message: Record, tp: TP, rejected: Rejected) -> None:
        """Queue a message with the reason why it is here."""
        key, value, own_headers, whole_bytes = fit(message.key, message.value, message.headers)
        headers = dead_letter_headers(
            own_headers,
            rejected,
            version=self._version,
            failed_at=self._now(),
            topic=tp.topic,
            partition=tp.partition,
            offset=message.offset,
            whole_bytes=whole_bytes,
        )
        self._outlet.send(self._topic, key, value, headers)
        self._metrics.dead_letters.labels(rejected.reason).inc()
