"""A worker that is told to stop has done and committed all it began: nothing is ever repeated."""

import asyncio
import random
import signal

from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, verify


async def test_stopped_in_mid_stream_and_started_again_nothing_is_repeated(deployment: Deployment) -> None:
    await deployment.create_topics()
    chance = random.Random(21)
    messages = list(anywhere(semester(21, 12_000), seed=21))
    feeding = asyncio.create_task(deployment.feed(messages, per_second=1_000))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        worker = await deployment.worker().until_ready()
        await asyncio.sleep(chance.uniform(0.0, 1.5))
        worker.signal(number)
        assert await worker.until_ended() == 0
        assert worker.logged("worker.stopped")
    await feeding
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0
    verify(await Topics.read(deployment))


async def test_stopped_before_it_is_ready_it_ends_well(deployment: Deployment) -> None:
    await deployment.create_topics()
    await deployment.produce(anywhere(semester(22, 400), seed=22))
    for seconds in (0.0, 0.5, 1.0, 1.5):
        worker = deployment.worker()
        await worker.until_logged("web.listening")
        await asyncio.sleep(seconds)
        assert await worker.terminate() == 0
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0
    verify(await Topics.read(deployment))
