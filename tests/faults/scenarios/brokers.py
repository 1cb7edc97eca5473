"""5: a broker that restarts, is away, or isn't there yet: work waits, and goes on where it was."""

import asyncio
from typing import Final

from tests.e2e.harness import Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, feeding, finish, resident_mib

#: What a worker may grow by while it can't write.
GROWTH_MIB: Final = 150.0


async def restarts(stage: Stage) -> Outcome:
    """Stop and start the broker, kill and start it, and leave it away for a while, all in mid-stream."""
    away_seconds = 8.0 if stage.quick else 60.0
    rounds = 1 if stage.quick else 3
    outcome = Outcome()
    with stage.own_kafka() as kafka:
        async with stage.deployment(kafka.bootstrap) as deployment:
            async with feeding(deployment, seed=50):
                worker = await deployment.worker("one").until_ready()
                for number in range(rounds):
                    if not stage.quick:
                        stage.say(f"clean restart {number + 1}")
                        await asyncio.to_thread(kafka.stop)
                        kafka.start()
                        await _works_again(worker)
                    stage.say(f"hard restart {number + 1}")
                    kafka.kill()
                    kafka.start()
                    await _works_again(worker)
                    outcome.kills += 1
                stage.say(f"away for {away_seconds:g} s")
                before_mib = resident_mib(worker)
                kafka.kill()
                outcome.kills += 1
                await asyncio.sleep(away_seconds)
                assert (await worker.get("/healthz"))[0] == 200, "the worker calls itself dead"
                assert (await worker.get("/readyz"))[0] == 503, "the worker calls itself ready"
                grown_mib = resident_mib(worker) - before_mib
                assert grown_mib < GROWTH_MIB, f"the worker grew by {grown_mib:.0f} MiB"
                kafka.start()
                await _works_again(worker)
            await finish(deployment, worker)
            # Whether a commit arrived before its broker died nobody knows.
            outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
        outcome.notes.append(f"away for {away_seconds:g} s, in which the worker grew by {grown_mib:.0f} MiB")
    return outcome


async def absent(stage: Stage) -> Outcome:
    """Start a worker before its broker: it says so, is alive and not ready, and begins when it can."""
    outcome = Outcome()
    with stage.own_kafka() as kafka:
        async with stage.deployment(kafka.bootstrap) as deployment:
            await asyncio.to_thread(kafka.stop)
            worker = deployment.worker("one")
            await worker.until_logged("broker.unreachable")
            assert (await worker.get("/healthz"))[0] == 200
            assert (await worker.get("/readyz"))[0] == 503
            await asyncio.sleep(1.0 if stage.quick else 10.0)
            kafka.start()
            await worker.until_ready()
            async with feeding(deployment, seed=51):
                await asyncio.sleep(2.0)
            await finish(deployment, worker)
            outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
    return outcome


async def _works_again(worker: Worker) -> None:
    """Wait until a worker commits again."""
    began = await _last_commit(worker)

    async def commits() -> None:
        while await _last_commit(worker) <= began + 1.0:
            assert worker.exit_code is None, f"the worker ended with {worker.exit_code}"
            await asyncio.sleep(0.2)

    await asyncio.wait_for(commits(), 120)


async def _last_commit(worker: Worker) -> float:
    samples = await worker.samples()
    return max(value for name, _, value in samples if name == "gradewatch_last_commit_timestamp_seconds")


SCENARIOS: Final = (
    Scenario(5, "Broker restarted, killed, and away", restarts),
    Scenario(5, "Broker absent at the start", absent, in_tests=False),
)
