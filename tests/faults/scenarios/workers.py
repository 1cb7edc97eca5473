"""4: workers that come and go: more and fewer of them, updates one by one, crashes in mid-recovery."""

import asyncio
import signal
from shutil import rmtree
from typing import Final

from tests.e2e.harness import Deployment, Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, failing_worker, feeding, finish

#: Longer than the restart of a worker, so that its name keeps its partitions.
STATIC_SESSION_SECONDS: Final = "30"


async def up_and_down(stage: Stage) -> Outcome:
    """One worker, three, one again: no worker is lost, so nothing may be there twice."""
    outcome = Outcome()
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=40):
            first = await deployment.worker("first").until_ready()
            others = [deployment.worker(name) for name in ("second", "third")]
            for other in others:
                await other.until_ready()
            await asyncio.sleep(2.0)
            for other in others:
                assert await other.terminate() == 0
                await asyncio.sleep(1.0)
        await finish(deployment, first)
        await _account(outcome, deployment, repeats_allowed=False)
    return outcome


async def rolling_restart(stage: Stage) -> Outcome:
    """Restart named workers one after the other: no partition moves, nothing is there twice."""
    outcome = Outcome()
    names = ("a", "b") if stage.quick else ("a", "b", "c")
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=41):
            workers = [_named(deployment, name) for name in names]
            for worker in workers:
                await worker.until_ready()
            await asyncio.sleep(2.0)
            for index, name in enumerate(names):
                stage.say(f"restarting {name}")
                rebalances = len(workers[index - 1].logged("worker.rebalancing"))
                assert await workers[index].terminate() == 0
                workers[index] = await _named(deployment, name).until_ready()
                again = len(workers[index - 1].logged("worker.rebalancing"))
                assert again == rebalances, f"the restart of {name} moved partitions of another"
        await deployment.until_done()
        for worker in workers:
            assert await worker.terminate() == 0
        await _account(outcome, deployment, repeats_allowed=False)
    outcome.notes.append(f"{len(names)} named workers, no rebalance")
    return outcome


async def crash_in_recovery(stage: Stage) -> Outcome:
    """Kill a worker without its state folder again and again while it recovers, then let it."""
    outcome = Outcome()
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=42):
            worker = await deployment.worker("one", instance_id="one").until_ready()
            await asyncio.sleep(3.0)
            await worker.kill()
            outcome.kills += 1
            for point in ("assigned", "recovering", "recovered", "seeking"):
                stage.say(point)
                rmtree(deployment.data_dir("one"), ignore_errors=True)
                worker = failing_worker(deployment, point, "kill", name="one", instance_id="one")
                assert await worker.until_ended() == -signal.SIGKILL
                outcome.kills += 1
        await finish(deployment, await deployment.worker("one", instance_id="one").until_ready())
        await _account(outcome, deployment, repeats_allowed=True)
    return outcome


async def takeover(stage: Stage) -> Outcome:
    """Kill one of two workers: the other takes its part within the session timeout and its recovery."""
    outcome = Outcome()
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=43):
            first = await deployment.worker("first").until_ready()
            second = await deployment.worker("second").until_ready()
            await first.until_logged("worker.ready", times=2)
            await asyncio.sleep(2.0)
            times = len(first.logged("worker.ready")) + 1
            await second.kill()
            outcome.kills += 1
            began = asyncio.get_running_loop().time()
            await first.until_logged("worker.ready", times=times)
            seconds = asyncio.get_running_loop().time() - began
        await finish(deployment, first)
        await _account(outcome, deployment, repeats_allowed=True)
    outcome.notes.append(f"taken over after {seconds:.1f} s (session timeout 6 s)")
    assert seconds < 30, f"taken over only after {seconds:.1f} s"
    return outcome


async def standby(stage: Stage) -> Outcome:
    """Kill one of two workers that copy each other's tables: the other goes on from what it has."""
    outcome = Outcome()
    async with stage.deployment() as deployment:
        async with feeding(deployment, seed=44):
            first = await deployment.worker("first", standby_replicas="1").until_ready()
            second = await deployment.worker("second", standby_replicas="1").until_ready()
            await first.until_logged("worker.ready", times=2)
            await asyncio.sleep(4.0 if stage.quick else 20.0)  # the copies are read without anybody waiting
            read_before = _rows_read(second)
            times = len(second.logged("worker.ready")) + 1
            await first.kill()
            outcome.kills += 1
            await second.until_logged("worker.ready", times=times)
            await asyncio.sleep(1.0)
        await finish(deployment, second)
        topics = await _account(outcome, deployment, repeats_allowed=True)
    rows = _rows_read(second) - read_before
    outcome.notes.append(f"{rows} rows read of {len(topics.changelog)}")
    assert rows < len(topics.changelog) / 4, f"{rows} rows read of {len(topics.changelog)}"
    return outcome


def _rows_read(worker: Worker) -> int:
    return sum(entry["records"] for entry in worker.logged("partition.recovered"))


def _named(deployment: Deployment, name: str) -> Worker:
    return deployment.worker(name, instance_id=name, session_timeout_seconds=STATIC_SESSION_SECONDS)


async def _account(outcome: Outcome, deployment: Deployment, *, repeats_allowed: bool) -> Topics:
    """Compare all, and see that the committed offsets are the ends: each raw offset is accounted for."""
    committed = await deployment.committed()
    for topic in (deployment.topology.raw, deployment.topology.records, deployment.topology.course_drops):
        for partition, end in (await deployment.ends(topic)).items():
            assert committed.get(partition, 0) == end, f"{topic.name}: {partition} is not at its end"
    topics = await Topics.read(deployment)
    outcome.compare(topics, repeats_allowed=repeats_allowed, students_in_order=True)
    return topics


SCENARIOS: Final = (
    Scenario(4, "1, 3, 1 workers", up_and_down),
    Scenario(4, "Rolling restart of named workers", rolling_restart, in_tests=False),
    Scenario(4, "A crash in the middle of recovery", crash_in_recovery, in_tests=False),
    Scenario(4, "One of two workers is killed", takeover, in_tests=False),
    Scenario(4, "A standby takes over", standby),
)
