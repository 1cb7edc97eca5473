"""A worker's metrics against Kafka's own figures."""

import asyncio
import json
from collections import Counter

import aiohttp
import pytest

from agents.topology import TopicSpec
from models.headers import RAW_TIMESTAMP
from models.times import epoch_ms
from tests.e2e.events import by_student, semester
from tests.e2e.harness import Deployment, Worker

Partition = tuple[str, int]

#: Between Kafka's timestamp of an alert, given when its batch is made, and its acknowledgement.
ACKNOWLEDGED_WITHIN_SECONDS = 2.0


async def lag_shown(*workers: Worker) -> dict[Partition, int]:
    """Return the lag that workers show; a partition that two of them show fails."""
    lag: dict[Partition, int] = {}
    for worker in workers:
        for name, labels, value in await worker.samples():
            if name == "gradewatch_consumer_lag_records":
                partition = labels["topic"], int(labels["partition"])
                assert partition not in lag
                lag[partition] = int(value)
    return lag


async def lag_of_the_group(deployment: Deployment) -> dict[Partition, int]:
    """Return the ends less the group's committed offsets, both as Kafka's admin interface tells them."""
    committed = await deployment.committed()
    topics: tuple[TopicSpec, ...] = (
        deployment.topology.raw,
        deployment.topology.records,
        deployment.topology.course_drops,
    )
    return {
        (partition.topic, partition.partition): end - committed.get(partition, 0)
        for topic in topics
        for partition, end in (await deployment.ends(topic)).items()
    }


async def until_lag_is_the_groups(deployment: Deployment, *workers: Worker) -> dict[Partition, int]:
    """Wait until the workers show what Kafka says, which takes them a fetch; return it."""
    expected = shown = {("", -1): 0}
    for _ in range(100):
        expected, shown = await lag_of_the_group(deployment), await lag_shown(*workers)
        if shown == expected:
            return shown
    raise AssertionError(f"Kafka says {expected}, the workers {shown}")


async def test_lag_is_what_kafka_says(deployment: Deployment) -> None:
    await deployment.create_topics()
    # One that commits at its end only, so that there is a lag to compare.
    worker = await deployment.worker(commit_interval_seconds="3600").until_ready()
    messages = list(by_student(semester(41, 400), seed=41))
    await deployment.produce(messages)
    while sum((await worker.outcomes()).values()) < len(messages):
        assert worker.exit_code is None
    lag = await until_lag_is_the_groups(deployment, worker)
    assert sum(
        records for (topic, _), records in lag.items() if topic == deployment.topology.raw.name
    ) == len(messages)
    assert await worker.terminate() == 0

    worker = await deployment.worker().until_ready()
    await deployment.produce(messages)
    await deployment.until_done()
    assert set((await until_lag_is_the_groups(deployment, worker)).values()) == {0}
    assert await worker.terminate() == 0


async def test_a_partitions_lag_is_shown_by_the_worker_that_has_it(deployment: Deployment) -> None:
    await deployment.create_topics()
    await deployment.produce(by_student(semester(42, 200), seed=42))
    first = await deployment.worker("first").until_ready()
    await deployment.until_done()
    every = set(await until_lag_is_the_groups(deployment, first))

    second = await deployment.worker("second").until_ready()
    await first.until_logged("worker.ready", times=2)
    await until_lag_is_the_groups(deployment, first, second)
    part = set(await lag_shown(first))
    assert part < every

    assert await second.terminate() == 0
    await first.until_logged("worker.ready", times=3)
    assert set(await until_lag_is_the_groups(deployment, first)) == every
    assert await first.terminate() == 0


async def test_the_page_is_there_whatever_the_group_is_doing(deployment: Deployment) -> None:
    await deployment.create_topics()
    first = await deployment.worker("first").until_ready()
    statuses: Counter[int] = Counter()

    async def ask() -> None:
        while True:
            status, _ = await first.get("/metrics")
            statuses[status] += 1
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(ask())
    feeding = asyncio.create_task(
        deployment.feed(list(by_student(semester(45, 4_000), seed=45)), per_second=500)
    )
    for times in (2, 4):
        second = await deployment.worker("second").until_ready()
        await first.until_logged("worker.ready", times=times)
        assert await second.terminate() == 0
        await first.until_logged("worker.ready", times=times + 1)
    await feeding
    await deployment.until_done()
    # Up to its end, when it no longer answers at all.
    assert await first.terminate() == 0
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert set(statuses) == {200}


async def test_latencies_are_those_between_kafkas_timestamps(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    await deployment.produce(by_student(semester(43, 3_000, poison=0.0), seed=43))
    await deployment.until_done()

    alerts = [
        (message.timestamp, json.loads(message.value))
        for topic in (deployment.topology.alerts, deployment.topology.staff_alerts)
        for message in await deployment.read(topic)
    ]
    raw_timestamps = {
        json.loads(record.value)["event_id"]: int(dict(record.headers)[RAW_TIMESTAMP])
        for record in await deployment.read(deployment.topology.records)
    }
    assert alerts
    shown: dict[str, float] = {}

    async def read_metrics() -> None:
        for name, _, value in await worker.samples():
            shown[name] = value + (shown.get(name, 0.0) if name == "gradewatch_alerts_total" else 0.0)

    await read_metrics()
    assert shown["gradewatch_alerts_total"] == len(alerts)
    slack = ACKNOWLEDGED_WITHIN_SECONDS * len(alerts)
    from_event = sum(sent - epoch_ms(alert["event_time"]) for sent, alert in alerts) / 1000
    assert shown["gradewatch_end_to_end_seconds_count"] == len(alerts)
    assert from_event <= shown["gradewatch_end_to_end_seconds_sum"] <= from_event + slack
    # The same event may come twice, and which of the two copies came first its alert doesn't tell; an alert
    # about a course has no event of its own, and took no longer than the whole run.
    from_raw = [sent - raw_timestamps[alert["event_id"]] for sent, alert in alerts if alert["event_id"]]
    whole_run = max(sent for sent, _ in alerts) - min(raw_timestamps.values())
    longest = (sum(from_raw) + whole_run * (len(alerts) - len(from_raw))) / 1000
    assert shown["gradewatch_raw_to_alert_seconds_count"] == len(alerts)
    assert sum(from_raw) / 1000 - slack <= shown["gradewatch_raw_to_alert_seconds_sum"] <= longest + slack
    assert await worker.terminate() == 0


async def test_the_process_shows_its_memory_files_and_time(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    samples = {name: value for name, _, value in await worker.samples()}
    assert samples["process_resident_memory_bytes"] > 10 * 1024 * 1024
    assert samples["process_open_fds"] > 10
    assert samples["process_cpu_seconds_total"] > 0
    assert samples["gradewatch_ready"] == 1
    assert await worker.terminate() == 0


async def test_a_recovery_tells_how_much_of_each_changelog_was_read(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker("first").until_ready()
    await deployment.produce(by_student(semester(44, 600), seed=44))
    await deployment.until_done()
    assert await worker.terminate() == 0
    assert not worker.logged("partition.recovered")

    # One that has it all, and one whose folder is empty. The other way round the first would have the fences
    # of the second to read.
    for name, reads in (("first", False), ("second", True)):
        worker = await deployment.worker(name).until_ready()
        recovered = {
            line["partition"]: line["records"]
            for line in worker.logged("partition.recovered")
            if deployment.topology.scores_changelog.name.endswith(f"-{line['table']}-changelog")
        }
        ends = await deployment.ends(deployment.topology.scores_changelog)
        written = {partition.partition: end for partition, end in ends.items() if end}
        assert written
        assert recovered == (written if reads else {})
        assert await worker.terminate() == 0
