"""Fixtures of all tests: a real Apache Kafka, the embedded broker, and names nobody else uses."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from app.embedded import EmbeddedBroker, EmbeddedBrokerError, find_binary
from tests.kafka import KafkaBroker, missing_requirement

# How long an example takes says more about the machine and who else is on it than about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_MARKER_OF_FIXTURE = {"kafka_installed": "kafka", "embedded_installed": "embedded"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that uses a broker, so that `-m "not kafka"` can leave it out."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKER_OF_FIXTURE:
                item.add_marker(_MARKER_OF_FIXTURE[fixture])


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test on a developer's machine; in CI, where everything has to be there, fail it."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_installed() -> None:
    """Skip what needs Apache Kafka where Java or its jars are missing."""
    missing = missing_requirement()
    if missing is not None:
        skip_or_fail(missing)


@pytest.fixture(scope="session")
def kafka(kafka_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Start one broker for all tests. Leave it running, isolate yourself by `topic_prefix` and `app_id`."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def own_kafka(kafka_installed: None, tmp_path: Path) -> Iterator[KafkaBroker]:
    """Give a broker of the test's own (some 3 s to start), for tests that stop, kill or restart it."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture(scope="session")
def embedded_installed() -> None:
    """Skip what needs the embedded broker where it isn't installed."""
    try:
        find_binary()
    except EmbeddedBrokerError as error:
        skip_or_fail(str(error))


@pytest.fixture
def embedded_broker(embedded_installed: None, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """Give an embedded broker of the test's own (some 50 ms to start)."""
    with EmbeddedBroker(tmp_path / "embedded") as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    """Give a topic prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def app_id() -> str:
    """Give an app id, so a consumer group and a changelog prefix, that no other test has."""
    return f"gradewatch-test-{uuid.uuid4().hex[:12]}"
