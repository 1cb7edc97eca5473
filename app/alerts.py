"""Alerts for people: followed on their topics and shown one a line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from app.broker import partitions_of, reader
from app.logs import logger
from models.alerts import Alert, decode_alert

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from app.settings import Settings

POLL_MS: Final = 250

_SEVERITY_STYLES: Final = {"critical": "bold red", "warning": "yellow", "info": "green"}
_COLUMNS: Final = (("Time (UTC)", 19), ("Severity", 8), ("Status", 9), ("Rule", 22), ("Student", 10))
"""Headings of what stands before the message, and their widths."""

log = logger()


async def alert_partitions(
    settings: Settings, *, staff: bool, timeout_seconds: float
) -> list[TopicPartition]:
    """Return where alerts lie; `staff` includes those that students may not see.

    Raises TopicsError without the topics, BrokerError without a broker.
    """
    topology = settings.topology()
    topics = [topology.alerts.name, *([topology.staff_alerts.name] if staff else [])]
    return await partitions_of(settings, topics, timeout_seconds)


async def follow(
    settings: Settings,
    partitions: Sequence[TopicPartition],
    *,
    from_beginning: bool,
    timeout_seconds: float,
) -> AsyncGenerator[Alert]:
    """Yield alerts as they come, for ever.

    Order holds within a partition, so for each student; across partitions it is that of arrival.
    """
    async with reader(settings, partitions, timeout_seconds) as consumer:
        if not from_beginning:
            await consumer.seek_to_end(*partitions)
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            records = [record for batch in batches.values() for record in batch]
            for record in sorted(records, key=lambda record: record.timestamp):  # stable
                try:
                    alert = decode_alert(record.value or b"")
                except ValueError as error:
                    log.warning(
                        "alert.unreadable",
                        topic=record.topic,
                        partition=record.partition,
                        offset=record.offset,
                        reason=str(error),
                    )
                else:
                    yield alert


def heading() -> Text:
    """Return the line above the alerts."""
    cells = [title.ljust(width) for title, width in _COLUMNS]
    return Text("  ".join([*cells, "Message"]), "bold")


def line(alert: Alert) -> Text:
    """Return an alert as one line, coloured by its severity."""
    style = _SEVERITY_STYLES[alert.severity]
    values = (
        (alert.event_time[:19].replace("T", " "), "dim"),
        (alert.severity, style),
        (alert.status, style),
        (alert.rule, ""),
        (alert.user_id or "-", ""),
    )
    text = Text()
    for (value, value_style), (_, width) in zip(values, _COLUMNS, strict=True):
        text.append(value.ljust(width), value_style).append("  ")
    where = "" if alert.course_id is None else f"Course {alert.course_id}: "
    return text.append(where, "dim").append(alert.message)
