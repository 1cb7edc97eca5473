"""What the demo sees of the topics: derived messages as they come, and how far the worker has committed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from app.broker import admin_client, partitions_of, reader
from app.demo.figures import Derived
from app.demo.folder import DemoFolder
from models.alerts import Alert, decode_alert

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from app.settings import Settings

POLL_MS: Final = 200
"""How long a look waits for something to come."""


class Watcher:
    """Reads all that is derived, in no group, and asks for the worker's offsets."""

    def __init__(
        self, settings: Settings, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, folder: DemoFolder
    ) -> None:
        self._topology = settings.topology()
        self._app_id = settings.app_id
        self._consumer = consumer
        self._admin = admin
        self._alerts_file = folder.alerts
        self.derived = Derived()

    async def look(self) -> list[Alert]:
        """Take what has come since the last look; return the alerts in it in the order of their events."""
        alerts: list[Alert] = []
        lines: list[bytes] = []
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        for partition, messages in batches.items():
            for message in messages:
                if partition.topic == self._topology.dead_letters.name:
                    self.derived.dead_letter(message.headers)
                elif partition.topic == self._topology.snapshots.name:
                    self.derived.snapshot(message.key, message.value)
                else:
                    alerts.append(decode_alert(message.value))
                    lines.append(message.value + b"\n")
        self.derived.alerts += alerts
        with self._alerts_file.open("ab") as file:
            file.writelines(lines)
        return sorted(alerts, key=lambda alert: alert.event_time)

    async def has_all(self) -> bool:
        """Return whether everything that is in the derived topics now has been seen."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        return all([await self._consumer.position(partition) >= end for partition, end in ends.items()])

    async def committed(self) -> int:
        """Return how many messages the worker has committed, of all topics that it reads."""
        return sum((await self._committed()).values())

    async def is_all_committed(self) -> bool:
        """Return whether the worker has committed all that is in the topics that it reads.

        The offsets are asked for before the ends. Each topic is filled from the one before, and what was
        derived is delivered before the commit: with all of one committed, no more comes into the next.
        """
        committed = await self._committed()
        ends: dict[TopicPartition, int] = {}
        for spec in (self._topology.raw, self._topology.records, self._topology.course_drops):
            ends |= await self._ends(spec.name)
        return all(committed.get(partition, 0) >= end for partition, end in ends.items())

    async def messages(self, topic: str) -> int:
        """Return how many messages a topic has been given since it was created."""
        return sum((await self._ends(topic)).values())

    async def _committed(self) -> dict[TopicPartition, int]:
        offsets = await self._admin.list_consumer_group_offsets(self._app_id)
        return {partition: max(0, committed.offset) for partition, committed in offsets.items()}

    async def _ends(self, topic: str) -> dict[TopicPartition, int]:
        counts = {spec.name: spec.partitions for spec in self._topology.all}
        partitions = [TopicPartition(topic, number) for number in range(counts[topic])]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return ends


@asynccontextmanager
async def watching(
    settings: Settings, folder: DemoFolder, broker_timeout_seconds: float
) -> AsyncIterator[Watcher]:
    """Give a watcher; `folder` gets every alert that it sees."""
    topology = settings.topology()
    topics = (topology.alerts, topology.staff_alerts, topology.snapshots, topology.dead_letters)
    partitions = await partitions_of(settings, [spec.name for spec in topics], broker_timeout_seconds)
    async with (
        reader(settings, partitions, broker_timeout_seconds) as consumer,
        admin_client(settings, broker_timeout_seconds) as admin,
    ):
        yield Watcher(settings, consumer, admin, folder)
