"""Workers that come and go while a stream is under way."""

import asyncio
import sys
from pathlib import Path

from tests.e2e.events import by_student, semester
from tests.e2e.harness import PARTITIONS, RAW_PARTITIONS, Deployment
from tests.e2e.oracle import Topics, verify

OVERTAKEN = Path(__file__).with_name("overtaken.py")


async def test_a_second_worker_comes_and_goes_in_mid_stream(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(by_student(semester(31, 10_000), seed=31))
    first = await deployment.worker("first").until_ready()
    feeding = asyncio.create_task(deployment.feed(messages, per_second=1_000))
    await asyncio.sleep(1.0)
    second = await deployment.worker("second").until_ready()
    await first.until_logged("worker.ready", times=2)
    parts = [worker.logged("worker.ready")[-1]["partitions"] for worker in (first, second)]
    assert min(parts) > 0
    assert sum(parts) == RAW_PARTITIONS + 4 * PARTITIONS  # records and course drops, each with its changelog
    await asyncio.sleep(2.0)
    assert await second.terminate() == 0
    await first.until_logged("worker.ready", times=3)
    await feeding
    await deployment.until_done()
    assert await first.terminate() == 0

    # No worker was lost, so everything that was done was committed before its partition moved.
    assert not verify(await Topics.read(deployment), students_in_order=True)


async def test_a_killed_workers_partitions_are_worked_on_by_the_other(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(by_student(semester(32, 12_000), seed=32))
    first = await deployment.worker("first").until_ready()
    second = await deployment.worker("second").until_ready()
    await first.until_logged("worker.ready", times=2)
    feeding = asyncio.create_task(deployment.feed(messages, per_second=2_000))
    await asyncio.sleep(2.0)
    await second.kill()
    await feeding
    await deployment.until_done()  # longer than the session timeout, far shorter than its patience
    assert await first.terminate() == 0
    repeats = verify(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    print(f"1 of 2 workers killed: {repeats}")  # noqa: T201


async def test_both_workers_are_stopped_at_once(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(by_student(semester(33, 10_000), seed=33))
    feeding = asyncio.create_task(deployment.feed(messages, per_second=1_000))
    for round_number in range(3):
        first = await deployment.worker("first").until_ready()
        second = await deployment.worker("second").until_ready()
        if round_number:
            # While the other is still giving up its partitions to it.
            await asyncio.sleep(0.3 * round_number)
        codes = await asyncio.gather(first.terminate(), second.terminate())
        assert set(codes) == {0}
    await feeding
    last = await deployment.worker("first").until_ready()
    await deployment.until_done()
    assert await last.terminate() == 0
    assert not verify(await Topics.read(deployment), students_in_order=True)


async def test_a_recovery_that_a_rebalance_overtakes_starts_over(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(by_student(semester(34, 8_000), seed=34))
    first = await deployment.worker("first").until_ready()
    feeding = asyncio.create_task(deployment.feed(messages, per_second=1_000))
    second = deployment.worker("second", command=(sys.executable, OVERTAKEN, "worker"))
    await second.until_logged("seek.waiting")
    assert await first.terminate() == 0
    await second.until_ready()
    await feeding
    await deployment.until_done()
    assert await second.terminate() == 0
    # It was never ready with the part that it had before the other left.
    parts = [entry["partitions"] for entry in second.logged("worker.ready")]
    assert parts == [RAW_PARTITIONS + 4 * PARTITIONS]
    assert not verify(await Topics.read(deployment), students_in_order=True)
