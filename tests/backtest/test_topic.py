"""A range of a topic, on the embedded broker: in Kafka's order over the partitions, and no further."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from app.embedded import EmbeddedBroker
from app.main import main
from app.settings import Settings
from app.topics import create_topics
from tests.backtest.conftest import Recording, pure_alerts
from tests.clients import create_topic

pytestmark = pytest.mark.embedded

FIRST_MS = 1_800_000_000_000
"""Later than any event of the semester, or they were events of the future."""
PARTITIONS = 3


def backtest(broker: EmbeddedBroker, *arguments: str | Path) -> Result:
    environment = {"GRADEWATCH_BROKERS": broker.bootstrap}
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)], env=environment)


def document(broker: EmbeddedBroker, *arguments: str) -> dict[str, Any]:
    result = backtest(broker, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def record(broker: EmbeddedBroker, topic: str, values: Recording, start_ms: int = FIRST_MS) -> None:
    """Write values a second of Kafka's time apart, spread over the partitions without any sense."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20) as producer:
        for number, value in enumerate(values):
            place = number * number % 7 % PARTITIONS
            await producer.send(topic, value, partition=place, timestamp_ms=start_ms + 1000 * number)
        await producer.flush()


def moment(number: int) -> str:
    return datetime.fromtimestamp(FIRST_MS / 1000 + number, UTC).isoformat()


@pytest.fixture
def recorded(embedded_broker: EmbeddedBroker, in_order: Recording) -> EmbeddedBroker:
    async def fill() -> None:
        await create_topic(embedded_broker.bootstrap, "recorded", PARTITIONS)
        await record(embedded_broker, "recorded", in_order)

    asyncio.run(fill())
    return embedded_broker


def test_partitions_are_merged_in_the_order_of_kafkas_time(
    recorded: EmbeddedBroker, in_order: Recording, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts.jsonl"

    found = document(recorded, "--topic", "recorded", "--alerts", str(alerts))

    assert found["events"] == len(in_order)
    written = [json.loads(line)["alert_id"] for line in alerts.read_text().splitlines()]
    assert written == [alert.alert_id for alert in pure_alerts(in_order)]


def test_a_range_is_cut_by_kafkas_time(recorded: EmbeddedBroker, in_order: Recording) -> None:
    def events(*arguments: str) -> int:
        count: int = document(recorded, "--topic", "recorded", *arguments)["events"]
        return count

    assert events("--from", moment(100), "--to", moment(250)) == 150
    assert events("--to", moment(30)) == 30
    assert events("--from", moment(len(in_order) - 20)) == 20
    assert events("--from", moment(len(in_order))) == 0
    assert events("--to", moment(0)) == 0
    assert events("--from", "0001-01-01") == len(in_order)
    assert events("--to", "0001-01-01") == 0


def test_events_ahead_of_their_messages_are_refused_as_in_a_worker(
    embedded_broker: EmbeddedBroker, in_order: Recording
) -> None:
    async def fill() -> None:
        settings = Settings(brokers=embedded_broker.bootstrap, partitions=PARTITIONS)
        await create_topics(settings, timeout_seconds=10)
        await record(embedded_broker, settings.topology().raw.name, in_order[:100], start_ms=1_000_000)

    asyncio.run(fill())

    found = document(embedded_broker, "--topic")

    assert found["rejected_by_reason"].keys() == {"future_event"}
    assert found["events_by_outcome"]["record"] == 0


def test_a_topic_that_does_not_exist_is_named(embedded_broker: EmbeddedBroker) -> None:
    result = backtest(embedded_broker, "--topic", "nowhere")

    assert result.exit_code == 1
    assert "Topic nowhere does not exist" in result.stderr
