"""Another number of partitions: refused as it is, and taken over into a new deployment without a loss."""

import asyncio

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from agents.topology import Topology
from models.grades import Ignored, Rejected, read
from tables.state import encode_state
from tests.clients import consume
from tests.e2e.events import by_student, semester
from tests.e2e.harness import Deployment, Raw, Worker
from tests.e2e.oracle import newest
from tests.tables.recorded import Work

MORE = 7


class Move:
    """A deployment that is to have more partitions, and the new one that takes over."""

    def __init__(self, old: Deployment) -> None:
        self.old = old
        raw = old.topology.raw.name
        self.prefix = raw.removesuffix("raw-events")
        self.app_id = f"{old.app_id}-2"
        self.settings = {
            "app_id": self.app_id,
            "topic_prefix": f"{self.prefix}2.",
            "partitions": str(MORE),
            "raw_topic": raw,
        }
        self.topology = Topology.build(f"{self.prefix}2.", self.app_id, MORE, raw)

    async def repartition(self, **settings: str) -> tuple[int, str]:
        done = await asyncio.to_thread(
            self.old.run,
            *(
                "topics",
                "repartition",
                "--json",
                "--from-app-id",
                self.old.app_id,
                "--from-prefix",
                self.prefix,
            ),
            **{**self.settings, **settings},
        )
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def worker(self) -> Worker:
        return self.old.worker("new", **self.settings)

    async def until_done(self) -> None:
        """Wait until the new group has committed all of its topics."""
        new = Deployment(self.old.bootstrap, f"{self.prefix}2.", self.app_id, self.old.folder)
        new.topology, new.workers = self.topology, self.old.workers
        await new.until_done()


@pytest.fixture
def events() -> list[Raw]:
    return list(by_student(semester(21, 2000), 22))


@pytest.mark.parametrize("clean", [True, False])
async def test_a_new_deployment_takes_over_and_loses_nothing(
    deployment: Deployment, events: list[Raw], clean: bool
) -> None:
    await deployment.create_topics()
    move = Move(deployment)
    half = len(events) // 2
    worker = await deployment.worker().until_ready()
    await deployment.produce(events[: half // 2])
    await deployment.until_done()
    await deployment.produce(events[half // 2 : half])
    if clean:
        await deployment.until_done()
        assert await worker.terminate() == 0
    else:
        # Somewhere in the middle: records that nobody has scored yet, scores that nobody has committed.
        await worker.kill()
    await deployment.produce(events[half:])

    code, told = await move.repartition()
    while not clean and code:  # until the group has noticed that its only worker was killed
        assert "are running" in told
        code, told = await move.repartition()
    assert code == 0, told
    copied = {each["target"]: each["messages"] for each in orjson.loads(told)}
    assert set(copied) == {
        spec.name
        for spec in (
            *(move.topology.scores_changelog, move.topology.drops_changelog, move.topology.snapshots),
            *(move.topology.records, move.topology.course_drops),
        )
    }
    if clean:
        assert copied[move.topology.records.name] == 0
    worker = await move.worker().until_ready()
    await move.until_done()
    assert await worker.terminate() == 0

    work = Work({}, {})
    for message in await deployment.read(deployment.topology.raw):
        outcome = read(message.value, message.timestamp)
        if not isinstance(outcome, (Ignored, Rejected)):
            work.take(outcome)
    rows = await consume(deployment.bootstrap, move.topology.scores_changelog.name)
    assert newest(rows) == {key: encode_state(state) for key, state in work.states.items()}
    places = list(range(MORE))
    for row in rows:
        if row.value is not None:
            assert row.partition == DefaultPartitioner()(row.key, places, places)
    snapshots = newest(await consume(deployment.bootstrap, move.topology.snapshots.name))
    assert snapshots == work.snapshots()
    alerts = [
        orjson.loads(alert.value)["alert_id"]
        for topology in (deployment.topology, move.topology)
        for topic in (topology.alerts, topology.staff_alerts)
        for alert in await consume(deployment.bootstrap, topic.name)
    ]
    assert set(alerts) == set(work.alert_ids)
    if clean:
        assert len(alerts) == len(set(alerts))


async def test_what_would_not_do_is_refused_with_a_sentence(
    deployment: Deployment, events: list[Raw]
) -> None:
    await deployment.create_topics()
    move = Move(deployment)
    code, told = await move.repartition()
    assert (code, "have never committed anything" in told) == (1, True)
    worker = await deployment.worker().until_ready()
    await deployment.produce(events[:100])
    await deployment.until_done()
    code, told = await move.repartition()
    assert (code, f"Workers of {deployment.app_id} are running" in told) == (1, True)
    assert await worker.terminate() == 0

    for wrong, sentence, status in (
        ({"app_id": deployment.app_id}, "The new deployment must have another GRADEWATCH_APP_ID", 2),
        ({"topic_prefix": move.prefix}, "both would have ", 2),
        ({"raw_topic": "another"}, "Topic another does not exist.", 1),
    ):
        code, told = await move.repartition(**wrong)
        assert (code, sentence in told) == (status, True), told

    assert (await move.repartition())[0] == 0
    code, told = await move.repartition()
    assert (code, f"Workers of {move.app_id} have worked already" in told) == (1, True)
    committed = await deployment.committed()
    assert committed[TopicPartition(deployment.topology.raw.name, 0)] > 0
