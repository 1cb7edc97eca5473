"""One Apache Kafka with TLS, SASL and ACLs for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Deployment
from tests.secured import SecuredKafka


@pytest.fixture(scope="package")
def secured(kafka_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    secured = SecuredKafka(tmp_path_factory.mktemp("secured"))
    with secured.broker:
        yield secured


@pytest.fixture
def deployment(secured: SecuredKafka, topic_prefix: str, app_id: str, tmp_path: Path) -> Iterator[Deployment]:
    """Give a deployment without topics; at the end its workers are gone."""
    deployment = Deployment(secured.broker.bootstrap, topic_prefix, app_id, tmp_path)
    yield deployment
    deployment.close()
