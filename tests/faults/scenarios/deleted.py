"""5: a topic with data in it is deleted in mid-run, and made anew.

What was in it is gone by the operator's act. So it is read right before, and taken for still there: nothing
that was due afterwards may be missing, and all else has to be as if nothing had happened.
"""

import asyncio
import signal
import time
from functools import partial
from pathlib import Path
from typing import Final

from aiokafka import ConsumerRecord
from aiokafka.errors import TopicAlreadyExistsError

from agents.topology import TopicSpec
from tests.clients import admin_client, create_topic
from tests.e2e.events import by_student, semester
from tests.e2e.harness import GRADEWATCH, PATIENCE_SECONDS, Deployment, Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, feeding, finish

BURST: Final = 5_000


async def written_only(stage: Stage, which: str = "snapshots", *, kill: bool = False) -> Outcome:
    """Delete a topic that is only written to: the worker waits, and goes on by itself when it is there again.

    With `kill` it is killed while it waits.
    """
    seconds = 5.0 if stage.quick else 45.0
    outcome = Outcome()
    async with stage.deployment() as deployment:
        topic = getattr(deployment.topology, which)
        worker = await deployment.worker("one", instance_id="one").until_ready()
        async with feeding(deployment, seed=54):
            await _until_something_is_in(deployment, topic)
            await asyncio.sleep(3.0)
            # Suspended: nothing comes between the reading and the deletion.
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(0.5)
            gone = await deployment.read(topic)
            await _delete(deployment, topic)
            worker.signal(signal.SIGCONT)
            await _until_unready(worker)
            committed = await deployment.committed()
            await asyncio.sleep(seconds)
            assert worker.exit_code is None, f"the worker ended with {worker.exit_code}"
            assert (await worker.get("/healthz"))[0] == 200, "the worker calls itself dead"
            assert await deployment.committed() == committed, "offsets were committed meanwhile"
        if kill:
            # What nobody took is lost with it: unless it is read again, it will be missing.
            await worker.kill()
            outcome.kills += 1
        await _create(deployment)
        if kill:
            worker = await deployment.worker("one", instance_id="one").until_ready()
        await finish(deployment, worker)
        await _compare(outcome, deployment, which, gone)
    outcome.notes.append(f"{len(gone)} messages went with the topic")
    return outcome


async def read_back(stage: Stage, which: str = "records", *, at_once: bool = False) -> Outcome:
    """Delete a topic that is read as well: the worker ends with 1 and says why, and the next goes on.

    All that is in it was read before, so nothing may be missing. Made anew `at_once` it may be noticed by its
    offsets only; then nothing goes on but on request.
    """
    outcome = Outcome()
    async with stage.deployment() as deployment:
        topic = getattr(deployment.topology, which)
        worker = await deployment.worker("one", instance_id="one").until_ready()
        async with feeding(deployment, seed=55):
            await _until_something_is_in(deployment, topic)
        await deployment.until_done()
        gone = await deployment.read(topic)
        if at_once:
            # Suspended, it sees the new one only, and much goes there as soon as it looks.
            worker.signal(signal.SIGSTOP)
        await _delete(deployment, topic)
        if at_once:
            await _create_at_once(deployment, topic)
            await deployment.produce(by_student(semester(57, BURST), 57))
            worker.signal(signal.SIGCONT)
        async with feeding(deployment, seed=56):
            if at_once:
                await asyncio.sleep(15.0)
            else:
                assert await worker.until_ended() == 1, "the worker did not end with 1"
                assert f"{topic.name}: deleted while it was read" in worker.output
            assert "Traceback" not in worker.output
        if not at_once:
            refused = await asyncio.to_thread(deployment.run, "worker")
            assert refused.returncode == 1
            assert f"Topic {topic.name} does not exist." in refused.stderr
            await _create(deployment)
        if worker.exit_code is not None:
            assert worker.exit_code == 1
            said = next(line for line in worker.output.splitlines() if line.startswith("Error: "))
            command: list[str | Path] = [GRADEWATCH, "worker", *(["--reset-offsets"] if at_once else [])]
            worker = await deployment.worker("one", command, instance_id="one").until_ready()
            outcome.notes.append(f"the worker ended with 1: {said}")
        else:
            outcome.notes.append("the worker went on by itself")
        await finish(deployment, worker)
        await _compare(outcome, deployment, which, gone)
    return outcome


async def _compare(outcome: Outcome, deployment: Deployment, which: str, gone: list[ConsumerRecord]) -> None:
    topics = await Topics.read(deployment)
    setattr(topics, which, gone + getattr(topics, which))
    outcome.compare(topics, repeats_allowed=True, students_in_order=True)


async def _until_something_is_in(deployment: Deployment, topic: TopicSpec) -> None:
    """Wait until most partitions have something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(end > 0 for end in (await deployment.ends(topic)).values()) < topic.partitions - 1:
        assert time.monotonic() < deadline, f"nothing came into {topic.name}"
        await asyncio.sleep(0.2)


async def _until_unready(worker: Worker) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (await worker.get("/readyz"))[0] != 503:
        assert time.monotonic() < deadline, "the worker calls itself ready"
        await asyncio.sleep(0.2)


async def _delete(deployment: Deployment, topic: TopicSpec) -> None:
    async with admin_client(deployment.bootstrap) as admin:
        answer = await admin.delete_topics([topic.name])
    assert all(code == 0 for _, code, *_ in answer.topic_error_codes), answer


async def _create_at_once(deployment: Deployment, topic: TopicSpec) -> None:
    """Make a topic anew, quicker than the command does."""
    for _ in range(100):
        try:
            await create_topic(deployment.bootstrap, topic.name, topic.partitions, topic.config())
        except TopicAlreadyExistsError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError(f"{topic.name} could not be made anew")


async def _create(deployment: Deployment) -> None:
    done = await asyncio.to_thread(deployment.run, "topics", "create")
    assert done.returncode == 0, done.stderr


SCENARIOS: Final = (
    Scenario(5, "Snapshots are deleted in mid-run", written_only),
    Scenario(
        5,
        "Snapshots are deleted in mid-run, the worker killed",
        partial(written_only, kill=True),
        in_tests=False,
    ),
    Scenario(5, "Alerts are deleted in mid-run", partial(written_only, which="alerts"), in_tests=False),
    Scenario(5, "Grade records are deleted in mid-run", read_back),
    Scenario(5, "Grade records are made anew in mid-run", partial(read_back, at_once=True), in_tests=False),
    Scenario(
        5, "Course drops are deleted in mid-run", partial(read_back, which="course_drops"), in_tests=False
    ),
)
