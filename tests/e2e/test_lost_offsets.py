"""Where the next message to be read is gone from its topic: said, and gone past only when that is asked."""

import asyncio
import signal
from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.protocol.admin import DeleteGroupsRequest

from agents.topology import TopicSpec
from tests.clients import admin_client
from tests.e2e.events import anywhere, semester
from tests.e2e.harness import (
    GRADEWATCH,
    LOOK_SECONDS,
    PATIENCE_SECONDS,
    RAW_PARTITIONS,
    Deployment,
    Raw,
    Worker,
)
from tests.e2e.oracle import Topics, verify

EVENTS = 600
RESETTING = (GRADEWATCH, "worker", "--reset-offsets")


async def remove_before(deployment: Deployment, topic: TopicSpec, offsets: Mapping[int, int]) -> None:
    """Do what retention does: remove all messages of partitions before some offsets."""
    async with admin_client(deployment.bootstrap) as admin:
        await admin.delete_records(
            {
                TopicPartition(topic.name, partition): RecordsToDelete(before_offset=offset)
                for partition, offset in offsets.items()
            }
        )


async def worked(deployment: Deployment, events: list[Raw]) -> None:
    """Let a worker do all there is and stop."""
    await deployment.produce(events)
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0


@pytest.fixture
def events() -> list[Raw]:
    return list(anywhere(semester(11, EVENTS), 12))


async def refused(worker: Worker, *sentences: str) -> None:
    assert await worker.until_ended() == 1
    for sentence in sentences:
        assert sentence in worker.output
    assert "gradewatch worker --reset-offsets" in worker.output
    assert "Traceback" not in worker.output
    assert worker.logged("worker.ready") == []
    assert [entry["goes_on"] for entry in worker.logged("offsets.lost")] == [False]


async def test_what_retention_removed_unread_is_an_error_until_somebody_goes_past_it(
    deployment: Deployment, events: list[Raw]
) -> None:
    await deployment.create_topics()
    raw = deployment.topology.raw
    read, unread = events[: EVENTS // 2], events[EVENTS // 2 :]
    await worked(deployment, read)
    before = await Topics.read(deployment)
    committed = {p.partition: o for p, o in (await deployment.committed()).items() if p.topic == raw.name}
    await deployment.produce(unread)
    # 5 messages of partition 0 and all of partition 2 are lost; partition 1 keeps its own.
    ends = {p.partition: end for p, end in (await deployment.ends(raw)).items()}
    await remove_before(deployment, raw, {0: committed[0] + 5, 1: committed[1], 2: ends[2]})

    worker = deployment.worker()
    lost = ends[2] - committed[2]
    await refused(
        worker,
        f"Error: Partition 0 of {raw.name} begins at offset {committed[0] + 5} now, but offset "
        f"{committed[0]} is to be read next; messages removed before they were read: 5.",
        f"messages removed before they were read: {lost}.",
    )
    assert f"artition 1 of {raw.name}" not in worker.output
    assert worker.logged("offsets.lost")[0]["lost"] == 5 + lost
    assert {
        p.partition: o for p, o in (await deployment.committed()).items() if p.topic == raw.name
    } == committed

    worker = await deployment.worker(command=RESETTING).until_ready()
    (told,) = worker.logged("offsets.lost")
    assert told["goes_on"] is True
    assert [(gap["partition"], gap["wanted"], gap["first"], gap["end"]) for gap in told["gaps"]] == [
        (0, committed[0], committed[0] + 5, ends[0]),
        (2, committed[2], ends[2], ends[2]),
    ]
    await deployment.until_done()
    assert await worker.terminate() == 0
    after = await Topics.read(deployment)
    # What came out is what went in, but for what was lost.
    kept = [m for m in after.raw if m.offset >= committed[m.partition]]
    assert len(kept) == len(unread) - 5 - lost
    after.raw = [*before.raw, *kept]
    verify(after)

    # Nothing more was to be read of partition 2: that it was gone past is remembered all the same.
    worker = await deployment.worker().until_ready()
    assert worker.logged("offsets.lost") == []
    assert await worker.terminate() == 0


async def test_what_was_removed_while_the_group_was_forgotten_is_an_error_too(
    deployment: Deployment, events: list[Raw]
) -> None:
    await deployment.create_topics()
    raw = deployment.topology.raw
    await worked(deployment, events[: EVENTS // 2])
    before = await Topics.read(deployment)
    await deployment.produce(events[EVENTS // 2 :])
    ends = {p.partition: end for p, end in (await deployment.ends(raw)).items()}
    await remove_before(deployment, raw, ends)
    async with admin_client(deployment.bootstrap) as admin:
        coordinator = await admin.find_coordinator(deployment.app_id)
        answer = await admin._client.send(coordinator, DeleteGroupsRequest([deployment.app_id]))
        assert [code for _, code in answer.results] == [0]
    assert await deployment.committed() == {}

    await refused(
        deployment.worker(),
        f"artition 0 of {raw.name} begins at offset {ends[0]} now, and the broker has forgotten how far it",
    )
    worker = await deployment.worker(command=RESETTING).until_ready()
    assert [gap["wanted"] for gap in worker.logged("offsets.lost")[0]["gaps"]] == [None] * RAW_PARTITIONS
    await deployment.until_done()
    assert await worker.terminate() == 0
    # The records are read again from their beginning, and tell nothing new.
    after = await Topics.read(deployment)
    after.raw = before.raw
    verify(after, repeats_allowed=True)


async def test_it_is_seen_while_the_worker_runs_too(deployment: Deployment, events: list[Raw]) -> None:
    await deployment.create_topics()
    raw = deployment.topology.raw
    await worked(deployment, events)
    worker = await deployment.worker().until_ready()
    worker.signal(signal.SIGSTOP)
    committed = {p.partition: o for p, o in (await deployment.committed()).items() if p.topic == raw.name}
    # What it asked for before is answered with the first of these; for the others it can't have asked.
    await deployment.produce(events[:30])
    await asyncio.sleep(1)
    await deployment.produce(events[30:60])
    ends = {p.partition: end for p, end in (await deployment.ends(raw)).items()}
    await remove_before(deployment, raw, dict.fromkeys(range(RAW_PARTITIONS), -1))
    worker.signal(signal.SIGCONT)
    assert await worker.until_ended() == 1
    assert "messages removed before they were read: " in worker.output
    assert "Traceback" not in worker.output
    (told,) = worker.logged("offsets.lost")
    for gap in told["gaps"]:
        assert gap["wanted"] >= committed[gap["partition"]]
        assert gap["first"] == ends[gap["partition"]]


@pytest.mark.parametrize("which", ["records", "course_drops"])
async def test_derived_topics_are_held_to_it_too(
    deployment: Deployment, events: list[Raw], which: str
) -> None:
    await deployment.create_topics()
    await worked(deployment, events)
    topic = getattr(deployment.topology, which)
    (at, committed), *_ = (
        (p, offset) for p, offset in (await deployment.committed()).items() if p.topic == topic.name
    )
    # Stands for a worker that was away while others wrote.
    await deployment.write(topic, [Raw(b"not read", at.partition, b"k")] * 3)
    await remove_before(deployment, topic, {at.partition: committed + 2})
    await refused(
        deployment.worker(),
        f"Partition {at.partition} of {topic.name} begins at offset {committed + 2} now",
        "messages removed before they were read: 2.",
    )


async def test_a_topic_made_anew_is_told_apart(deployment: Deployment, events: list[Raw]) -> None:
    await deployment.create_topics()
    raw = deployment.topology.raw
    await worked(deployment, events)
    # The broker forgets what was committed for a topic that is deleted; another cluster with this group's
    # offsets, as a mirror has, does not. So does one that lost the end of a partition.
    at = TopicPartition(raw.name, 1)
    end = (await deployment.ends(raw))[at]
    async with AIOKafkaConsumer(
        bootstrap_servers=deployment.bootstrap, group_id=deployment.app_id, enable_auto_commit=False
    ) as stranger:
        stranger.assign([at])
        await stranger.commit({at: end + 10})
    worker = deployment.worker()
    await refused(
        worker,
        f"Partition 1 of {raw.name} ends at offset {end}, before offset {end + 10}, which is to be read",
    )
    before = await Topics.read(deployment)
    worker = await deployment.worker(command=RESETTING).until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0
    after = await Topics.read(deployment)
    # All of the partition is read again, which changes nothing.
    repeats = verify(after, repeats_allowed=True)
    assert repeats.records > 0
    assert len(after.records) > len(before.records)


async def test_a_topic_that_is_deleted_and_made_anew_is_read_from_its_beginning(
    deployment: Deployment, events: list[Raw]
) -> None:
    await deployment.create_topics()
    raw = deployment.topology.raw
    await worked(deployment, events)
    async with admin_client(deployment.bootstrap) as admin:
        await admin.delete_topics([raw.name])
    await until_gone(deployment, raw.name)
    again = deployment.run("topics", "create")
    assert again.returncode == 0, again.stderr
    worker = await deployment.worker().until_ready()
    await deployment.produce([event._replace(partition=0) for event in events[:50]])
    await deployment.until_done()
    assert worker.logged("offsets.lost") == []
    assert (await worker.outcomes()).total() == 50
    assert await worker.terminate() == 0


async def until_gone(deployment: Deployment, topic: str) -> None:
    async with admin_client(deployment.bootstrap) as admin, asyncio.timeout(PATIENCE_SECONDS):
        while topic in await admin.list_topics():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(LOOK_SECONDS)
