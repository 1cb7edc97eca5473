"""1: workers that are killed, at random moments and between any two steps of a flush."""

import asyncio
import random
import signal
from shutil import rmtree
from typing import Final

from tests.e2e.harness import Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, failing_worker, feeding, finish

#: Where a worker is killed, and at which turn, so that there is work in hand. (The outlet is drained once for
#: the fences of each table when partitions come, then twice per flush: the seventh turn is in the third.)
MOMENTS: Final = (
    ("fetching", 40),
    ("folding", 500),
    ("flush begins", 6),
    ("captured", 7),
    ("outlet acknowledged", 7),
    ("membership checked", 5),
    ("changelog queued", 6),
    ("changelog acknowledged", 5),
    ("store written", 4),
    ("committed", 4),
    ("recovering", 1),
    ("recovered", 1),
    ("revoked", 2),
    ("given up", 2),
    ("assigned", 2),
    ("seeking", 2),
)
#: Those of a rebalance: the first is at the start, with nothing in hand; another worker brings the second.
OF_A_REBALANCE: Final = ("revoked", "given up", "assigned", "seeking")
#: Those that a quick run is about: between each pair of the four steps.
FLUSH_STEPS: Final = ("outlet acknowledged", "membership checked", "changelog acknowledged", "store written")


async def anywhen(stage: Stage) -> Outcome:
    """Kill two workers at random moments, also in bursts, also while they start or share out partitions."""
    kills = 6 if stage.quick else 100
    chance = random.Random(1)
    outcome = Outcome()
    listening = 0
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=1):
            while outcome.kills < kills:
                stage.say(f"{outcome.kills} of {kills} kills")
                workers = [deployment.worker("one", instance_id="one")]
                if chance.random() < 0.5:
                    workers.append(deployment.worker("two", instance_id="two"))
                # In a burst it is killed whatever it does; else while it works.
                if chance.random() < 0.6:
                    await workers[0].until_ready()
                for worker in workers:
                    await asyncio.sleep(chance.uniform(0.1, 1.0))
                    await worker.kill()
                    outcome.kills += 1
                    listening += bool(worker.logged("web.listening"))
                if chance.random() < 0.1:
                    rmtree(deployment.data_dir("one"), ignore_errors=True)
        stage.say("the rest")
        await finish(deployment, await deployment.worker("one", instance_id="one").until_ready())
        topics = await Topics.read(deployment)
        outcome.compare(topics, repeats_allowed=True, students_in_order=True)
        outcome.notes.append(
            f"{len(topics.raw)} raw events; {listening} of the kills came after a worker's HTTP server was up"
        )
    return outcome


async def between_steps(stage: Stage) -> Outcome:
    """Kill a worker at each of the moments, with its state folder kept, then all again with it lost."""
    chosen = [(point, turn) for point, turn in MOMENTS if not stage.quick or point in FLUSH_STEPS]
    folders = ("kept",) if stage.quick else ("kept", "lost")
    outcome = Outcome()
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=2):
            for folder in folders:
                for point, turn in chosen:
                    stage.say(f"{point}, state folder {folder}")
                    if folder == "lost" or point in ("recovering", "recovered"):
                        rmtree(deployment.data_dir("one"), ignore_errors=True)
                    worker = failing_worker(
                        deployment, point, "kill", turn=turn, name="one", instance_id="one"
                    )
                    other: Worker | None = None
                    if point in OF_A_REBALANCE:
                        await worker.until_ready()
                        await asyncio.sleep(1.0)  # it works
                        other = deployment.worker("two")
                    code = await worker.until_ended()
                    assert code == -signal.SIGKILL, f"{point}: ended with {code} instead of being killed"
                    outcome.kills += 1
                    if other is not None:
                        code = await other.terminate()
                        assert code == 0, f"{point}: the other worker ended with {code}"
        await finish(deployment, await deployment.worker("one", instance_id="one").until_ready())
        outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    outcome.notes.append(f"killed at: {', '.join(point for point, _ in chosen)}")
    return outcome


SCENARIOS: Final = (
    Scenario(1, "SIGKILL at random moments, in bursts", anywhen),
    Scenario(1, "SIGKILL between any two steps", between_steps),
)
