"""A deployment for each end-to-end test: its own topics and group on the brokers that all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Deployment
from tests.kafka import KafkaBroker


@pytest.fixture
def deployment(kafka: KafkaBroker, topic_prefix: str, app_id: str, tmp_path: Path) -> Iterator[Deployment]:
    """Give a deployment on Apache Kafka without topics; at the end its workers are gone."""
    deployment = Deployment(kafka.bootstrap, topic_prefix, app_id, tmp_path)
    yield deployment
    deployment.close()
