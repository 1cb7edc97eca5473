"""A worker that can't get on says so and ends; one without work, or waiting for its broker, is well."""

import asyncio
import json
import sys
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment, Worker
from tests.kafka import KafkaBroker

STUCK = Path(__file__).with_name("stuck.py")
STALL_SECONDS = 2


async def test_a_stuck_agent_makes_the_worker_unready_then_not_alive_then_end(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = deployment.worker(
        command=(sys.executable, STUCK, "waits", "worker"), stall_seconds=str(STALL_SECONDS)
    )
    await worker.until_ready()
    await asyncio.sleep(2 * STALL_SECONDS)  # nothing to do is no stall
    assert [(await worker.get(page))[0] for page in ("/readyz", "/healthz")] == [200, 200]
    await deployment.produce(anywhere(semester(1, 100), 1))

    assert (await until_status(worker, "/readyz", 503))["missing"]["waiting_for"] == "agent"
    assert (await worker.get("/healthz"))[0] == 200
    reason = (await until_status(worker, "/healthz", 503))["reason"]
    assert reason.startswith("an agent has been at work on one chunk for ")
    assert (await worker.get("/readyz"))[0] == 503
    assert await worker.until_ended() == 1
    (stalled,) = worker.logged("worker.stalled")
    assert (stalled["topic"], stalled["seconds"]) == (deployment.topology.records.name, STALL_SECONDS)
    assert (
        "Error: The worker stops without committing: an agent has been at work on one chunk" in worker.output
    )
    committed = await deployment.committed()
    assert not any(partition.topic == deployment.topology.records.name for partition in committed)


async def until_status(worker: Worker, page: str, status: int) -> dict[str, Any]:
    """Look at a page until it has a status, and return its JSON."""
    while True:
        seen, text = await worker.get(page)
        if seen == status:
            found: dict[str, Any] = json.loads(text)
            return found
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["spins", "clings"])
async def test_an_agent_that_lets_nobody_else_work_is_ended_from_outside(
    deployment: Deployment, how: str
) -> None:
    await deployment.create_topics()
    worker = deployment.worker(command=(sys.executable, STUCK, how, "worker"), stall_seconds="1")
    await worker.until_ready()
    await deployment.produce(anywhere(semester(1, 100), 1))
    assert await worker.until_ended(30) == 1
    assert "Timeout (0:00:05)!" in worker.output
    assert f'{STUCK}", line ' in worker.output


async def recovering(deployment: Deployment, how: str) -> Worker:
    """Start a worker that has its tables to recover, to which fetches bring nothing or little."""
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    await deployment.produce(anywhere(semester(1, 300), 1))
    await deployment.until_done()
    assert await worker.terminate() == 0
    rmtree(deployment.data_dir("worker"))
    worker = deployment.worker(command=(sys.executable, STUCK, how, "worker"), broker_timeout_seconds="5")
    missing: dict[str, Any] = {}
    while missing.get("waiting_for") != "recovery" or not missing["remaining_records"]:
        missing = (await until_status(worker, "/readyz", 503))["missing"]
    assert (await worker.get("/healthz"))[0] == 200
    return worker


async def test_a_recovery_that_brings_nothing_ends_the_worker_in_the_brokers_time(
    deployment: Deployment,
) -> None:
    worker = await recovering(deployment, "starves")
    assert await worker.until_ended(30) == 1
    assert (
        "Error: The worker stops without committing: the brokers have let this worker do nothing for 5 s"
        in (worker.output)
    )
    assert not worker.logged("worker.ready")


async def test_a_recovery_that_gets_on_may_take_longer_than_that(deployment: Deployment) -> None:
    worker = await recovering(deployment, "trickles")
    assert (await worker.until_logged("worker.ready"))["seconds"] > 6
    assert await worker.terminate() == 0


async def test_waiting_for_the_broker_is_no_stall_until_its_time_is_up(
    own_kafka: KafkaBroker, topic_prefix: str, app_id: str, tmp_path: Path
) -> None:
    deployment = Deployment(own_kafka.bootstrap, topic_prefix, app_id, tmp_path)
    try:
        await deployment.create_topics()
        worker = await deployment.worker(stall_seconds="1", broker_timeout_seconds="8").until_ready()
        own_kafka.kill()
        waiting = (await until_status(worker, "/readyz", 503))["missing"]
        assert waiting == {"waiting_for": "broker"}
        await asyncio.sleep(3)  # several times what an agent may take
        assert (await worker.get("/healthz"))[0] == 200
        assert await worker.until_ended() == 1
        assert "the brokers have let this worker do nothing for" in worker.output
    finally:
        deployment.close()
