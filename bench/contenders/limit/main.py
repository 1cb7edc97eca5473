"""The limit: fetch from Kafka and parse JSON, nothing else.

`python -m bench.contenders.limit.main BROKERS RAW GROUP`

What any Python program that takes each event apart has to do at least. Offsets are committed, so that it is
measured as all others are; four times a second, because it would be done before the others' second is over.
"""

import asyncio
import signal
import sys
import time

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

COMMIT_INTERVAL_SECONDS = 0.25


async def main(brokers: str, raw: str, group: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with AIOKafkaConsumer(
        raw,
        bootstrap_servers=brokers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # Large fetches, handed on in pieces between which a commit has room.
        fetch_max_bytes=16 * 1024 * 1024,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        max_poll_records=5_000,
    ) as consumer:
        commit_at = time.monotonic() + COMMIT_INTERVAL_SECONDS
        fetched_since = False
        while not stopping.is_set():
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    orjson.loads(record.value)
                fetched_since = True
            if fetched_since and time.monotonic() >= commit_at:
                await consumer.commit()
                fetched_since = False
                commit_at = time.monotonic() + COMMIT_INTERVAL_SECONDS


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
