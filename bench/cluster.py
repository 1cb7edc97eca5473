"""The benchmark's own client: topics, committed offsets, ends, and what lies in a topic."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, NotCoordinatorError, for_code

Offsets = Mapping[int, int]
"""By partition."""


class Cluster:
    """Asks the broker; belongs to no consumer group, so that it disturbs nobody who is measured."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._partitions: dict[str, int] = {}
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def create(self, topic: str, partitions: int, **config: str) -> None:
        """Create a topic; raises the broker's own error when it refuses."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=config)
        answer = await self._admin.create_topics([new])
        for name, code, *_ in answer.topic_errors:
            if code:
                raise for_code(code)(name)

    async def topics(self) -> dict[str, int]:
        """Return every topic's number of partitions."""
        return {t["topic"]: len(t["partitions"]) for t in await self._admin.describe_topics()}

    async def delete_all_of(self, run: str) -> None:
        """Delete all topics with a run's name in theirs: the next run shall not pay for their upkeep."""
        names = [topic for topic in await self.topics() if run in topic]
        if names:
            await self._admin.delete_topics(names)

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return a group's committed offsets; empty while there is no such group."""
        try:
            offsets = await self._admin.list_consumer_group_offsets(group)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorError):
            return {}
        return {tp: offset.offset for tp, offset in offsets.items() if offset.offset >= 0}

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return where each partition of a topic ends; empty while there is no such topic."""
        if topic not in self._partitions:
            self._partitions = await self.topics()
        tps = [TopicPartition(topic, number) for number in range(self._partitions.get(topic, 0))]
        if not tps:
            return {}
        try:
            return dict(await self._consumer.end_offsets(tps))
        except KafkaError:
            return {}

    async def read_all(self, topic: str) -> AsyncIterator[ConsumerRecord]:
        """Yield all that a topic holds now."""
        ends = {tp: end for tp, end in (await self.ends(topic)).items() if end}
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign(list(ends))
            while ends:
                for records in (await consumer.getmany(*ends, timeout_ms=200)).values():
                    for record in records:
                        yield record
                for tp in [tp for tp, end in ends.items() if await consumer.position(tp) >= end]:
                    del ends[tp]
                    consumer.pause(tp)


@asynccontextmanager
async def raw_producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer like a bridge's: lz4, batches of 64 KiB."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=64 * 1024,
        max_request_size=8 * 1024 * 1024,
        linger_ms=0,
    ) as producer:
        yield producer
