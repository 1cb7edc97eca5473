"""5 and 10: a topic that takes nothing: no source offset passes an effect that was not acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from agents.topology import TopicSpec
from app.children import LOOPBACK, free_ports
from models.grades import Rejected, read
from tests.clients import admin_client, create_topic
from tests.e2e.harness import Deployment, Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, configure, feeding, finish, resident_mib
from tests.kafka import KafkaBroker
from tests.secured import Acl, SecuredKafka

#: What a worker may grow by while it can't write.
GROWTH_MIB: Final = 150.0

Step = Callable[[], Awaitable[Any]]


async def too_few_replicas(stage: Stage) -> Outcome:
    """Lose one of two replicas of the topic of records, which wants both: the worker waits, and goes on."""
    async with replicated_records(stage) as (deployment, second):

        async def spoil() -> None:
            await asyncio.to_thread(second.stop)

        async def mend() -> None:
            second.start()

        return await _refused(stage, deployment, spoil, mend, ends_by_itself=False)


@asynccontextmanager
async def replicated_records(stage: Stage) -> AsyncIterator[tuple[Deployment, KafkaBroker]]:
    """Give a deployment whose topic of records takes nothing unless this second broker runs."""
    with stage.own_kafka() as kafka:
        async with stage.deployment(kafka.bootstrap, topics=False) as deployment:
            records = deployment.topology.records
            # All that is not about this, the coordinators' topics too, while there is one broker only.
            await deployment.create_topics_but({records.name})
            await create_topic(kafka.bootstrap, records.name, records.partitions)
            worker = await deployment.worker("one").until_ready()
            assert await worker.terminate() == 0
            with second_broker(kafka, stage.folder / "second") as second:
                await _replace(kafka.bootstrap, records)
                yield deployment, second


def second_broker(first: KafkaBroker, directory: Path) -> KafkaBroker:
    """Return a broker that joins another's cluster."""
    (port,) = free_ports(1)
    address = f"PLAINTEXT://{LOOPBACK}:{port}"
    return KafkaBroker(
        directory,
        properties={
            "node.id": "2",
            "process.roles": "broker",
            "controller.quorum.voters": f"1@{first.address('CONTROLLER')}",
            "listeners": address,
            "advertised.listeners": address,
        },
    )


async def _replace(bootstrap: str, spec: TopicSpec) -> None:
    """Make a topic anew with two replicas, both of which have to have what is acknowledged."""
    config = {**spec.config(), "min.insync.replicas": "2"}
    new = NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=2, topic_configs=config)
    async with admin_client(bootstrap) as admin:
        await admin.delete_topics([spec.name])
        for _ in range(100):
            answer = await admin.create_topics([new])
            if all(code == 0 for _, code, *_ in answer.topic_errors):
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"{spec.name} could not be made anew: {answer.topic_errors}")


async def full(stage: Stage, which: str = "records") -> Outcome:
    """Let a topic take tiny batches only: the worker ends, the next goes on when mended."""
    async with stage.deployment() as deployment:
        topic = getattr(deployment.topology, which).name

        async def spoil() -> None:
            await configure(deployment, topic, {"max.message.bytes": "100"})

        async def mend() -> None:
            await configure(deployment, topic, {"max.message.bytes": str(8 * 1024 * 1024)})

        return await _refused(
            stage, deployment, spoil, mend, ends_by_itself=True, which=which, says="refused a batch for good"
        )


async def deleted(stage: Stage, which: str = "snapshots") -> Outcome:
    """Delete a topic before anything is in it, and create it again."""
    async with stage.deployment() as deployment:
        topic = getattr(deployment.topology, which).name

        async def spoil() -> None:
            async with admin_client(deployment.bootstrap) as admin:
                await admin.delete_topics([topic])

        async def mend() -> None:
            done = await asyncio.to_thread(deployment.run, "topics", "create")
            assert done.returncode == 0, done.stderr

        return await _refused(stage, deployment, spoil, mend, ends_by_itself=False, which=which, kill=True)


async def read_only(stage: Stage, which: str = "records") -> Outcome:
    """Forbid the worker's user to write to a topic."""
    kafka = SecuredKafka(Path(stage.folder) / "secured")
    with kafka.broker:
        async with stage.deployment(kafka.broker.bootstrap) as deployment:
            topology = deployment.topology
            forbidden = getattr(topology, which)
            allowed = [Acl("group", deployment.app_id, "Read")]
            for spec in topology.all:
                allowed += [Acl("topic", spec.name, operation) for operation in ("Read", "DescribeConfigs")]
                if spec is not forbidden:
                    allowed.append(Acl("topic", spec.name, "Write"))
            await kafka.allow("worker", *allowed)

            async def nothing() -> None:
                """Leave it as it has been from the start."""

            async def mend() -> None:
                await kafka.allow("worker", Acl("topic", forbidden.name, "Write"))

            return await _refused(
                stage,
                deployment,
                nothing,
                mend,
                ends_by_itself=True,
                which=which,
                says="refused a batch for good: TopicAuthorizationFailedError",
                settings=kafka.login("SCRAM-SHA-512"),
            )


async def _refused(
    stage: Stage,
    deployment: Deployment,
    spoil: Step,
    mend: Step,
    *,
    ends_by_itself: bool,
    kill: bool = False,
    says: str = "",
    which: str = "records",
    settings: dict[str, str] | None = None,
) -> Outcome:
    """Spoil a topic before anything is read, let work come, mend it, and see whether anything is missing.

    A worker that waits has to go on by itself when it is mended, unless it is killed before; one that ends by
    itself has to say why (`says`).
    """
    seconds = 10.0 if stage.quick else 45.0
    outcome = Outcome()

    def start() -> Worker:
        return deployment.worker("one", instance_id="one", **(settings or {}))

    worker = await start().until_ready()
    await spoil()
    async with feeding(deployment, seed=52):
        before_mib = resident_mib(worker)
        if ends_by_itself:
            assert await worker.until_ended() == 1, "the worker did not end with 1"
            assert says, "what it is to say is not told"
            assert says in worker.output, f"the worker did not say {says!r}"
            assert "Traceback" not in worker.output
            outcome.notes.append("the worker ended with 1 and said why")
        else:
            readiness = await _waits(worker, seconds)
            grown_mib = resident_mib(worker) - before_mib
            assert grown_mib < GROWTH_MIB, f"the worker grew by {grown_mib:.0f} MiB"
            assert (await worker.get("/healthz"))[0] == 200, "the worker calls itself dead"
            outcome.notes.append(
                f"the worker waited {seconds:g} s, {readiness}, and grew by {grown_mib:.0f} MiB"
            )
    await _nothing_passed(deployment, which)
    if kill:
        # What it holds and nobody took is lost with it: unless it is read again, it will be missing.
        await worker.kill()
        outcome.kills += 1
    await mend()
    if kill or ends_by_itself:
        worker = await start().until_ready()
    assert worker.exit_code is None, f"the worker ended with {worker.exit_code} instead of waiting"
    await finish(deployment, worker)
    outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    return outcome


async def _waits(worker: Worker, seconds: float) -> str:
    """See that a worker runs on for so long; return whether it called itself ready, in words.

    It is unready once nothing at all was acknowledged for the session timeout. While other topics take what
    comes for them it calls itself ready.
    """
    began = time.monotonic()
    unready_after: float | None = None
    while (passed := time.monotonic() - began) < seconds:
        assert worker.exit_code is None, f"the worker ended with {worker.exit_code} after {passed:.0f} s"
        assert not worker.logged("flush.failed"), f"the worker gave up after {passed:.0f} s"
        status, _ = await worker.get("/readyz")
        if unready_after is None and status == 503 and not worker.logged("flush.failed"):
            unready_after = passed
            said = await worker.until_logged("worker.waiting")
            assert said["waiting_for"] == "broker", f"the worker waits for {said['waiting_for']}"
        await asyncio.sleep(0.2)
    return "ready all the while" if unready_after is None else f"unready after {unready_after:.0f} s"


async def _nothing_passed(deployment: Deployment, which: str) -> None:
    """Fail where an offset was committed before an effect that the spoiled topic has not taken."""
    committed = await deployment.committed()
    if which != "dead_letters":
        passed = sum(committed.values())
    else:
        raw = deployment.topology.raw
        rejected = [m for m in await deployment.read(raw) if isinstance(read(m.value, m.timestamp), Rejected)]
        assert rejected, "no message was rejected"
        passed = sum(m.offset < committed.get(TopicPartition(m.topic, m.partition), 0) for m in rejected)
    assert passed == 0, f"{passed} offsets were committed before their effect was acknowledged"


SCENARIOS: Final = (
    Scenario(5, "A derived topic has too few replicas", too_few_replicas, in_tests=False),
    Scenario(5, "A derived topic takes only tiny batches", full),
    Scenario(5, "A derived topic is deleted", deleted, in_tests=False),
    Scenario(5, "A derived topic is read-only", read_only, in_tests=False),
    Scenario(10, "Dead letters take only tiny batches", partial(full, which="dead_letters")),
    Scenario(
        10, "The topic of dead letters is deleted", partial(deleted, which="dead_letters"), in_tests=False
    ),
    Scenario(
        10, "The topic of dead letters is read-only", partial(read_only, which="dead_letters"), in_tests=False
    ),
)
