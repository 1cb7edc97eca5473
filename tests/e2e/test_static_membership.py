"""Workers with names of their own: an update moves no partition, and a name is one worker's."""

from tests.e2e.events import by_student, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, verify


async def test_a_named_worker_that_comes_back_in_time_gets_its_partitions_without_a_rebalance(
    deployment: Deployment,
) -> None:
    await deployment.create_topics()
    settings = {"session_timeout_seconds": "30"}
    first = await deployment.worker("first", instance_id="first", **settings).until_ready()
    second = await deployment.worker("second", instance_id="second", **settings).until_ready()
    await first.until_logged("worker.ready", times=2)
    await deployment.produce(by_student(semester(61, 1_000), seed=61))

    assert await second.terminate() == 0
    again = await deployment.worker("second", instance_id="second", **settings).until_ready()
    await deployment.produce(by_student(semester(62, 1_000), seed=62))
    await deployment.until_done()
    parts = {worker.logged("worker.ready")[-1]["partitions"] for worker in (second, again)}
    assert len(parts) == 1
    assert len(first.logged("worker.rebalancing")) == 1
    assert await first.terminate() == 0
    assert await again.terminate() == 0
    verify(await Topics.read(deployment), students_in_order=True)


async def test_of_two_workers_with_one_name_the_later_one_stays(deployment: Deployment) -> None:
    await deployment.create_topics()
    first = await deployment.worker("first", instance_id="same").until_ready()
    second = await deployment.worker("second", instance_id="same").until_ready()
    assert await first.until_ended() == 1
    assert "without committing: another worker has the name same by now" in first.output
    assert "Traceback" not in first.output
    await deployment.produce(by_student(semester(63, 500), seed=63))
    await deployment.until_done()
    assert len(second.logged("worker.ready")) == 1
    assert await second.terminate() == 0
    verify(await Topics.read(deployment), students_in_order=True)
