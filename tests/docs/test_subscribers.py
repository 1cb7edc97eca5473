"""The subscribers of the how-to guide, in three languages: each alert once, whatever comes twice."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from models.alerts import Alert, encode_alert
from models.headers import alert_headers
from tests.clients import create_topic
from tests.conftest import skip_or_fail
from tests.docs.examples import Program, java_subscriber, javascript_subscriber, python_subscriber
from tests.kafka import KafkaBroker


def alert(number: int) -> Alert:
    return Alert(
        alert_id=f"{number:032x}",
        rule="score_drop",
        status="opened",
        severity="warning",
        audience="student",
        root_account_uuid="r",
        user_id="48",
        course_id="565",
        assignment_id=None,
        submission_id=None,
        subject=None,
        event_id=f"{number:032x}",
        event_time="2026-10-05T14:03:22.417Z",
        detected_at="2026-10-05T14:03:22.630Z",
        value=70.0,
        previous=88.0,
        reference=88.0,
        message="Course 565: The posted score fell by 18 points within 7 days.",
    )


async def send(brokers: str, topic: str, *numbers: int) -> None:
    """Send alerts as a worker does."""
    async with AIOKafkaProducer(bootstrap_servers=brokers, compression_type="zstd") as producer:
        for number in numbers:
            each = alert(number)
            headers = alert_headers(each, "5fade8cf48938cf3")
            await producer.send_and_wait(topic, encode_alert(each), each.key, headers=headers)


def ids(lines: list[str]) -> list[int]:
    return [int(json.loads(line)["alert_id"], 16) for line in lines]


@pytest.mark.parametrize("subscriber", [python_subscriber, java_subscriber, javascript_subscriber])
async def test_each_alert_is_handled_once(
    subscriber: Callable[[Path], list[str | Path] | str],
    kafka: KafkaBroker,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    command = subscriber(tmp_path)
    if isinstance(command, str):
        skip_or_fail(command)
    topic = f"{topic_prefix}grade-alerts"
    await create_topic(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, 1, 2, 1)
    command = [*command, kafka.bootstrap, tmp_path / "handled", topic]

    with Program(command, tmp_path / "first.log") as first:
        first.until_printed(2)
        await send(kafka.bootstrap, topic, 2, 3)
        assert ids(first.until_printed(3)) == [1, 2, 3]

    # After a crash, of a worker or of its own, what was handled comes once more.
    await send(kafka.bootstrap, topic, 3, 1, 4)
    with Program(command, tmp_path / "second.log") as second:
        assert ids(second.until_printed(1)) == [4]
