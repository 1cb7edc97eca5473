"""Carry Canvas events from SQS to Kafka: `python sqs_bridge.py QUEUE_URL 127.0.0.1:9092`.

Needs boto3, aiokafka and cramjam; credentials come from where boto3 looks for them.
"""

import asyncio
import sys
from typing import Any

from aiokafka import AIOKafkaProducer

TOPIC = "raw-events"
WAIT_SECONDS = 20  # SQS's long polling: an answer comes at once when there is a message
BATCH = 10  # the most that SQS gives or deletes at a time


async def bridge(sqs: Any, queue_url: str, brokers: str, topic: str = TOPIC) -> None:
    """Carry messages over until it is cancelled; `sqs` is boto3's client. Raises what SQS or Kafka raise."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        enable_idempotence=True,  # waits for all replicas, and tries again without repeats
        compression_type="zstd",
        linger_ms=5,
        max_request_size=8 * 1024 * 1024,  # as much as raw-events takes
    )
    async with producer:
        while True:
            await carry(sqs, queue_url, producer, topic)


async def carry(sqs: Any, queue_url: str, producer: AIOKafkaProducer, topic: str) -> int:
    """Carry one answer of SQS over and return how many messages it had.

    They are deleted in SQS when Kafka has them all: after a crash between the two they come again, which does
    no harm.
    """
    answer = await asyncio.to_thread(
        sqs.receive_message, QueueUrl=queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_SECONDS
    )
    messages = answer.get("Messages", [])
    if messages:
        # As it came, without a key: Gradewatch finds the student.
        sent = [await producer.send(topic, message["Body"].encode()) for message in messages]
        await asyncio.gather(*sent)
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        await asyncio.to_thread(sqs.delete_message_batch, QueueUrl=queue_url, Entries=entries)
    return len(messages)


if __name__ == "__main__":
    import boto3

    asyncio.run(bridge(boto3.client("sqs"), sys.argv[1], sys.argv[2]))
