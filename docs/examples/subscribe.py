"""Handle every alert once: `python subscribe.py 127.0.0.1:9092 handled.db`. Needs aiokafka and cramjam."""

import asyncio
import json
import sqlite3
import sys
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord

TOPIC = "grade-alerts"
GROUP = "advising-tool"  # every service has a name of its own

SCHEMA = """
CREATE TABLE IF NOT EXISTS notifications (
    ce_id TEXT PRIMARY KEY, user_id TEXT, message TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP
)
"""


async def subscribe(brokers: str, database: str, topic: str = TOPIC) -> None:
    """Write each alert as a notification to a database, until it is cancelled."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=brokers,
        group_id=GROUP,
        enable_auto_commit=False,  # an offset is committed when the alert has been handled, not before
        auto_offset_reset="earliest",
    )
    notifications = sqlite3.connect(database)
    try:
        notifications.execute(SCHEMA)
        async with consumer:
            async for message in consumer:
                if handle(notifications, message):
                    print(message.value.decode(), flush=True)
                await consumer.commit()
    finally:
        notifications.close()


def handle(notifications: sqlite3.Connection, message: ConsumerRecord) -> bool:
    """Write a notification; false when the alert was handled before.

    The effect and the memory of it are one row, so that whatever happens there are both or neither. Keep
    rows, or at least their ids, for as long as the topic keeps its messages.
    """
    headers = dict(message.headers)
    alert = json.loads(message.value)
    with notifications:  # one transaction
        written = notifications.execute(
            "INSERT OR IGNORE INTO notifications (ce_id, user_id, message) VALUES (?, ?, ?)",
            (headers["ce_id"].decode(), alert["user_id"], alert["message"]),
        )
    return written.rowcount == 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # Ctrl-C leaves the group, so that nobody waits for us
        asyncio.run(subscribe(*sys.argv[1:]))
