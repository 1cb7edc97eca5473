"""What a worker says when it can't start, and with which exit status."""

import time

import pytest

from app.children import free_ports
from tests.clients import create_topic
from tests.e2e.harness import Deployment

pytestmark = pytest.mark.usefixtures("kafka_installed")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"partitions": "many"}, "GRADEWATCH_PARTITIONS"),
        ({"commit_interval_seconds": "-1"}, "GRADEWATCH_COMMIT_INTERVAL_SECONDS"),
        ({"brokers": "nowhere"}, "GRADEWATCH_BROKERS"),
        ({"commit_intervall": "1"}, "GRADEWATCH_COMMIT_INTERVALL"),
        ({"web_host": "0.0.0.0"}, "GRADEWATCH_WEB_TOKEN"),  # noqa: S104 - to be refused
    ],
)
def test_a_mistake_in_the_settings_is_wrong_use(
    deployment: Deployment, settings: dict[str, str], sentence: str
) -> None:
    done = deployment.run("worker", **settings)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_broker_that_cannot_be_reached_is_tried_for_so_long(deployment: Deployment) -> None:
    (port,) = free_ports(1)
    began = time.monotonic()
    worker = deployment.worker(brokers=f"127.0.0.1:{port}", broker_timeout_seconds="3")
    status, page = await worker.get("/readyz")
    assert (status, '"broker"' in page) == (503, True)
    assert (await worker.get("/healthz"))[0] == 200
    assert await worker.until_ended(20) == 1
    assert 3 <= time.monotonic() - began < 15
    retries = worker.logged("broker.unreachable")
    assert retries
    assert retries[0]["brokers"] == f"127.0.0.1:{port}"
    assert f"No broker answered at 127.0.0.1:{port} within 3 s" in worker.output
    assert "Traceback" not in worker.output


async def test_a_missing_topic_is_named(deployment: Deployment) -> None:
    worker = deployment.worker()
    assert await worker.until_ended() == 1
    assert f"Topic {deployment.topology.raw.name} does not exist." in worker.output
    assert "`gradewatch topics create` creates what is missing." in worker.output
    assert "Traceback" not in worker.output


async def test_a_wrong_number_of_partitions_is_refused(deployment: Deployment) -> None:
    await create_topic(deployment.bootstrap, deployment.topology.records.name, partitions=2)
    refused = deployment.run("topics", "create")
    assert refused.returncode == 1
    await deployment.create_topics_but({deployment.topology.records.name})
    worker = deployment.worker()
    assert await worker.until_ended() == 1
    assert f"Topic {deployment.topology.records.name} has 2 partitions and needs 4" in worker.output
    assert "Traceback" not in worker.output
