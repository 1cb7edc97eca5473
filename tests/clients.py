"""What tests do with a broker as its clients: create topics, write to them, read all that is in them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client that is closed at the end of the block."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topic(
    bootstrap: str, topic: str, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create a topic with one replica; raises the broker's own error when it refuses."""
    new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=dict(config or {}))
    async with admin_client(bootstrap) as admin:
        answer = await admin.create_topics([new])
    for name, code, *_ in answer.topic_errors:
        if code != 0:
            raise for_code(code)(name)


async def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes | None],
    *,
    key: bytes | None = None,
    partition: int | None = None,
    compression: str | None = None,
) -> None:
    """Write values, all with the same key or none, and wait until each is acknowledged."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type=compression, linger_ms=20, acks="all"
    ) as producer:
        for delivery in [await producer.send(topic, value, key, partition) for value in values]:
            await delivery


async def consume(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Read all that a topic holds now, from every partition, in no group; by partition in offset order."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topic, number) for number in await _partitions(bootstrap, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(fetched)
    return sorted(records, key=lambda record: (record.partition, record.offset))


async def _partitions(bootstrap: str, topic: str) -> list[int]:
    async with admin_client(bootstrap) as admin:
        (described,) = await admin.describe_topics([topic])
    if described["error_code"] != 0:
        raise for_code(described["error_code"])(topic)
    return sorted(partition["partition"] for partition in described["partitions"])
