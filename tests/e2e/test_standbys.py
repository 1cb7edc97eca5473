"""A worker that keeps copies of another's tables takes its partitions over without reading all of them."""

import asyncio

from tests.e2e.events import by_student, semester
from tests.e2e.harness import Deployment, Worker
from tests.e2e.oracle import Topics, verify


def _rows_read(worker: Worker) -> int:
    return sum(entry["records"] for entry in worker.logged("partition.recovered"))


async def test_a_standby_takes_over_what_it_has_already(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(by_student(semester(41, 6_000), 41))
    workers = [deployment.worker(name, standby_replicas="1") for name in ("one", "two")]
    for worker in workers:
        await worker.until_ready()
    await deployment.produce(messages[:4_000])
    await deployment.until_done()
    await asyncio.sleep(2)  # the copies are read without anybody waiting for them
    first, second = workers
    read_before = _rows_read(second)
    await first.kill()
    await deployment.produce(messages[4_000:])
    await deployment.until_done()
    assert await second.terminate() == 0
    topics = await Topics.read(deployment)
    verify(topics, repeats_allowed=True, students_in_order=True)
    assert _rows_read(second) - read_before < len(topics.changelog) / 4
