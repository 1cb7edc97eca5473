"""2: workers that are told to stop, at random moments: nothing is done twice, and none takes long."""

import asyncio
import random
import signal
import time
from typing import Final

from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, feeding, finish

#: A stop is flush, commit and leaving the group. (Kubernetes waits 30 s before it kills.)
IN_TIME_SECONDS: Final = 20.0


async def anywhen(stage: Stage) -> Outcome:
    """Stop one of two workers, or both, at random moments, ready or not; each must end with 0 in time."""
    rounds = 2 if stage.quick else 20
    chance = random.Random(2)
    outcome = Outcome()
    stops: list[float] = []
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=20):
            for number in range(rounds):
                stage.say(f"{number} of {rounds} rounds")
                workers = [deployment.worker(name) for name in ("one", "two")[: 1 + number % 2]]
                for worker in workers:
                    if chance.random() < 0.8:
                        await worker.until_ready()
                    else:
                        # Before it listens for signals it is still Python that starts.
                        await worker.until_logged("web.listening")
                await asyncio.sleep(chance.uniform(0.0, 2.0))
                began = time.monotonic()
                for worker in workers:
                    worker.signal(chance.choice((signal.SIGTERM, signal.SIGINT)))
                for worker in workers:
                    code = await worker.until_ended()
                    stops.append(time.monotonic() - began)
                    assert code == 0, f"round {number}: a worker ended with {code}"
        await finish(deployment, await deployment.worker("one").until_ready())
        outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
    outcome.notes.append(f"{len(stops)} stops, the longest of {max(stops):.1f} s")
    assert max(stops) < IN_TIME_SECONDS, f"a stop took {max(stops):.1f} s"
    return outcome


SCENARIOS: Final = (Scenario(2, "SIGTERM and SIGINT at random moments", anywhen),)
