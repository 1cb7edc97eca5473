"""A small deployment watched by a real Prometheus, for the tests of rules and dashboards."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.children import LOOPBACK, free_ports
from tests.conftest import skip_or_fail
from tests.deploy.prometheus import Prometheus, missing_tools
from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment, Worker
from tests.kafka import KafkaBroker

SCRAPES_SECONDS = 3.0


@dataclass(frozen=True)
class Watched:
    """A worker that has read a few thousand events, and the Prometheus that watched it."""

    deployment: Deployment
    worker: Worker
    prometheus: Prometheus
    #: How many raw messages were written.
    messages: int
    #: `host:port` of the worker, and of one that isn't there.
    instance: str
    missing_instance: str


@pytest.fixture(scope="session")
def prometheus_installed() -> None:
    """Skip what needs Prometheus where it isn't installed."""
    missing = missing_tools()
    if missing is not None:
        skip_or_fail(missing)


@pytest.fixture(scope="session")
def watched(
    prometheus_installed: None, kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """Run a semester through one worker while Prometheus asks it and one that isn't there every second."""
    folder = tmp_path_factory.mktemp("watched")
    deployment = Deployment(kafka.bootstrap, "watched.", "watched", folder)
    try:
        worker, instance = asyncio.run(_ready_worker(deployment))
        missing = f"{LOOPBACK}:{free_ports(1)[0]}"
        with Prometheus(folder, {"worker-1:6066": instance, "worker-2:6066": missing}) as prometheus:
            prometheus.until(f'gradewatch_ready{{instance="{instance}"}}', 1)
            messages = list(anywhere(semester(51, 4_000, disorder_seconds=1_200), seed=51))
            # In three parts with scrapes between them: a rate is of what grows between two scrapes.
            third = len(messages) // 3
            for part in (messages[:third], messages[third : 2 * third], messages[2 * third :]):
                asyncio.run(deployment.produce(part))
                asyncio.run(deployment.until_done())
                time.sleep(SCRAPES_SECONDS)
            prometheus.until("sum(gradewatch_events_total)", len(messages))
            yield Watched(deployment, worker, prometheus, len(messages), instance, missing)
    finally:
        deployment.close()


async def _ready_worker(deployment: Deployment) -> tuple[Worker, str]:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    port = worker.logged("web.listening")[0]["port"]
    return worker, f"{LOOPBACK}:{port}"
