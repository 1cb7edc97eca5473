"""3: a worker that is suspended for longer than its session, and goes on when another has its place."""

import asyncio
import signal
from functools import partial
from typing import Final

from tests.e2e.harness import Worker, until
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, failing_worker, feeding, finish, until_suspended

#: Where it is suspended, and at which turn, so that it has work in hand.
MOMENTS: Final = (
    ("fetching", 40),
    ("folding", 500),
    ("flush begins", 5),
    ("captured", 5),
    ("outlet acknowledged", 5),  # after one for each table's fences two per flush: the first of the second
    ("membership checked", 5),
    ("changelog queued", 5),
    ("changelog acknowledged", 5),
    ("store written", 3),
    ("committed", 3),
)
QUICK: Final = ("membership checked",)


async def suspended(stage: Stage) -> Outcome:
    """Suspend a worker at each moment until its successor has done all there is, then let it go on."""
    outcome = Outcome()
    ends: list[str] = []
    for point, turn in MOMENTS:
        if stage.quick and point not in QUICK:
            continue
        stage.say(point)
        async with stage.deployment() as deployment:
            async with feeding(deployment, seed=30):
                zombie = failing_worker(deployment, point, "suspend", turn=turn, name="zombie")
                await until_suspended(zombie)
                outcome.kills += 1
                successor = await deployment.worker("successor").until_ready()
                await asyncio.sleep(1.0)
            await deployment.until_done()
            zombie.signal(signal.SIGCONT)
            await until("the suspended worker left or rejoined", partial(_left_or_rejoined, zombie))
            if zombie.exit_code is None:
                ends.append(f"{point}: rejoined")
                assert await zombie.terminate() == 0, f"{point}: the suspended worker did not end well"
            else:
                assert zombie.exit_code == 1, f"{point}: it ended with {zombie.exit_code}"
                assert "Traceback" not in zombie.output
                ends.append(f"{point}: left")
            await finish(deployment, successor)
            outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
            if outcome.differences:
                outcome.notes.append(f"first difference when suspended at: {point}")
                break
    outcome.notes.append(", ".join(ends))
    return outcome


def _left_or_rejoined(zombie: Worker) -> bool:
    return zombie.exit_code is not None or len(zombie.logged("worker.ready")) > 1


SCENARIOS: Final = (Scenario(3, "SIGSTOP past the session timeout, then SIGCONT", suspended),)
