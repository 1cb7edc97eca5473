"""Workers that are killed, lose what they had in hand, and start again: what comes out stays the same."""

import asyncio
import random
from shutil import rmtree

import pytest

from tests.e2e.events import anywhere, by_student, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, newest, verify

KILLS = 4


@pytest.mark.parametrize("state_folder", ["kept", "lost"])
async def test_killed_again_and_again_it_ends_as_one_clean_run(
    deployment: Deployment, state_folder: str
) -> None:
    await deployment.create_topics()
    chance = random.Random(state_folder)
    messages = list(by_student(semester(11, 14_000), seed=11))
    feeding = asyncio.create_task(deployment.feed(messages, per_second=1_000))
    for _ in range(KILLS):
        # Known by its name, the group gives it its partitions back without waiting for its session to end.
        worker = await deployment.worker(instance_id="one").until_ready()
        await asyncio.sleep(chance.uniform(0.0, 1.5))
        await worker.kill()
        if state_folder == "lost":
            rmtree(deployment.data_dir("worker"))
    await feeding
    worker = await deployment.worker(instance_id="one").until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0

    topics = await Topics.read(deployment)
    repeats = verify(topics, repeats_allowed=True, students_in_order=True)
    print(f"{KILLS} kills: {repeats}")  # noqa: T201
    assert repeats.alerts < len(topics.alerts) / 2


async def test_a_lost_state_folder_is_recovered_from_the_changelog(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(anywhere(semester(12, 4_000), seed=12))
    half = len(messages) // 2

    await deployment.produce(messages[:half])
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0
    before = await Topics.read(deployment)
    verify(before)

    rmtree(deployment.data_dir("worker"))
    worker = await deployment.worker().until_ready()
    await deployment.produce(messages[half:])
    await deployment.until_done()
    assert await worker.terminate() == 0
    after = await Topics.read(deployment)
    verify(after)  # each state continues from the one recovered: nothing else gives the fold of all events
    assert newest(before.changelog).keys() & newest(after.changelog).keys()
