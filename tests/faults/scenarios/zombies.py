"""3: a worker that is suspended for longer than its session, and goes on when another has its place."""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from typing import Final

from tests.e2e.harness import Worker, until
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, failing_worker, feeding, finish, until_suspended

#: The session timeout of all workers here, and a little more.
SESSION_SECONDS: Final = 7.0
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
#: Those of named workers, each played with a successor of another name and with one of the same.
MOMENTS_NAMED: Final = (
    ("folding", 500),
    ("captured", 5),
    ("membership checked", 5),
    ("changelog queued", 5),
    ("store written", 3),
)
QUICK: Final = ("membership checked",)


async def suspended(stage: Stage) -> Outcome:
    """Suspend a worker at each moment until its successor has done all there is, then let it go on."""
    outcome = Outcome()
    ends: list[str] = []
    for point, turn in _chosen(stage, MOMENTS):
        stage.say(point)
        zombie, _ = await _play(stage, outcome, point, turn)
        ends.append(f"{point}: {_end(zombie)}")
        if outcome.differences:
            outcome.notes.append(f"first difference when suspended at: {point}")
            break
    outcome.notes.append(", ".join(ends))
    return outcome


async def suspended_named(stage: Stage) -> Outcome:
    """Do the same with named workers: the successor has another name, or the suspended worker's own."""
    outcome = Outcome()
    ends: list[str] = []
    for point, turn in _chosen(stage, MOMENTS_NAMED):
        for name in ("successor", "zombie"):
            what = f"{point}, {'same' if name == 'zombie' else 'other'} name"
            stage.say(what)
            zombie, successor = await _play(
                stage, outcome, point, turn, zombie_id="zombie", successor_id=name
            )
            ends.append(f"{what}: {_end(zombie)}")
            if name == "zombie":
                # The broker knows which of the two came later; the other may not take its place again.
                assert "Error: The worker stops without committing: " in zombie.output, (
                    f"{what}: no reason told"
                )
                assert zombie.exit_code == 1, f"{what}: it ended with {zombie.exit_code}"
                assert len(successor.logged("worker.ready")) == 1, f"{what}: the successor was disturbed"
            if outcome.differences:
                outcome.notes.append(f"first difference when suspended at: {what}")
                return outcome
    outcome.notes.append(", ".join(ends))
    return outcome


def _chosen(stage: Stage, moments: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [moment for moment in moments if not stage.quick or moment[0] in QUICK]


async def _play(
    stage: Stage,
    outcome: Outcome,
    point: str,
    turn: int,
    *,
    zombie_id: str | None = None,
    successor_id: str | None = None,
) -> tuple[Worker, Worker]:
    """Play one moment; return the suspended worker and its successor, both ended by now."""
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=30):
            zombie = failing_worker(
                deployment, point, "suspend", turn=turn, name="zombie", **_named(zombie_id)
            )
            await until_suspended(zombie)
            outcome.kills += 1
            await asyncio.sleep(SESSION_SECONDS if zombie_id else 0.0)
            successor = await deployment.worker("successor", **_named(successor_id)).until_ready()
            await asyncio.sleep(1.0)
        await deployment.until_done()
        offsets = await deployment.committed()
        zombie.signal(signal.SIGCONT)
        await until("the suspended worker left or rejoined", partial(_left_or_rejoined, zombie))
        if zombie.exit_code is None:
            assert await zombie.terminate() == 0, f"{point}: the suspended worker did not end well"
        else:
            assert zombie.exit_code == 1, f"{point}: it ended with {zombie.exit_code}"
            assert "Traceback" not in zombie.output
        # The successor may commit more: what the other writes again. The other's offsets are all lower.
        now = await deployment.committed()
        assert all(now[partition] >= offset for partition, offset in offsets.items()), (
            f"{point}: it committed"
        )
        await finish(deployment, successor)
        outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    return zombie, successor


def _named(instance_id: str | None) -> dict[str, str]:
    return {} if instance_id is None else {"instance_id": instance_id}


def _left_or_rejoined(zombie: Worker) -> bool:
    return zombie.exit_code is not None or len(zombie.logged("worker.ready")) > 1


def _end(zombie: Worker) -> str:
    return "rejoined" if zombie.exit_code == 0 else "left"


SCENARIOS: Final = (
    Scenario(3, "SIGSTOP past the session timeout, then SIGCONT", suspended),
    Scenario(3, "SIGSTOP past the session timeout, named workers", suspended_named, in_tests=False),
)
