"""A semester through real Kafka: records, dead letters, tables, snapshots and alerts as the oracle tells."""

import pytest

from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Expected, Topics, verify


@pytest.mark.parametrize("events", [4_000, 100_000])
async def test_a_semester_comes_out_as_the_pure_functions_say(deployment: Deployment, events: int) -> None:
    await deployment.create_topics()
    worker = deployment.worker()
    await worker.until_ready()
    await deployment.produce(anywhere(semester(events, events, disorder_seconds=1_200), seed=events))
    await deployment.until_done()

    topics = await Topics.read(deployment)
    verify(topics)
    assert await worker.outcomes() == Expected.of(topics.raw).outcomes
    assert len(topics.raw) > 0.9 * events
    assert topics.alerts
    assert topics.dead_letters
    assert await worker.terminate() == 0
