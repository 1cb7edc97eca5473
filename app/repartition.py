"""A deployment moves into topics with another number of partitions, and nothing of what it knows is lost.

A student's key must fall on the same partition in every topic, so partitions can't be added to topics in use.
Instead a new deployment (another app id and topic prefix, the same raw topic) takes over what the old one
keeps, row by row, each to the partition that its key has there; then the old one's place in the raw topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from agents.topology import TopicSpec, Topology
from app.broker import admin_client, partition_counts, reader, start_client
from app.errors import BrokerError, GradewatchError, SettingsError, TopicsError
from app.topics import create_topics, explain
from engine.errors import DeliveryError
from engine.outlet import Outlet

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.structs import OffsetAndMetadata

    from app.settings import Settings

POLL_MS: Final = 500
STALLED_SECONDS: Final = 15.0
"""Without a single message for so long, the reading is given up."""

KEPT: Final = ("scores_changelog", "drops_changelog", "snapshots")
"""What is copied whole, by the topology's names: the newest of each key counts."""
UNDER_WAY: Final = ("records", "course_drops")
"""What is copied from the old group's committed offset on: it was not worked on yet."""

Progress = Callable[[str, int, int], None]
"""Told of which topic how many offsets have been passed, and of how many."""


class Copied(NamedTuple):
    """What went from one topic into another."""

    source: str
    target: str
    messages: int


async def repartition(
    settings: Settings,
    *,
    from_app_id: str,
    from_prefix: str,
    timeout_seconds: float,
    progress: Progress = lambda _topic, _done, _all: None,
) -> list[Copied]:
    """Let the deployment of `settings`, a new one, go on where another with the same raw topic stopped.

    Its topics are created where they are missing. May be repeated after a failure: until the last step, which
    gives the new group the old one's place in the raw topic, nothing counts. Raises SettingsError when the
    two are not apart, TopicsError and GradewatchError when either is not as it must be, BrokerError when the
    broker can't be reached or refuses.
    """
    new = settings.topology()
    old = Topology.build(from_prefix, from_app_id, new.raw.partitions, new.raw.name)
    _check_apart(old, new, from_app_id, settings.app_id)
    async with admin_client(settings, timeout_seconds) as admin:
        counts = await partition_counts(admin)
        missing = [spec.name for spec in (old.raw, *_sources(old).values()) if spec.name not in counts]
        if missing:
            raise TopicsError(
                "\n".join(f"Topic {name} does not exist." for name in missing)
                + "\nAre --from-app-id and --from-prefix the old deployment's, and GRADEWATCH_RAW_TOPIC its "
                "raw topic?"
            )
        committed = await _offsets(admin, from_app_id, settings.app_id)
    # As they are: only to see whether the broker takes them, which it does when no worker is running.
    await _commit(settings, from_app_id, committed, timeout_seconds)
    report = await create_topics(settings, timeout_seconds)
    if report.failures:
        raise TopicsError(explain(report.failures))
    outlet = Outlet(
        settings.kafka_client_options(),
        {spec.name: spec.partitions for spec in new.all},
        delivery_timeout_seconds=settings.delivery_timeout_seconds,
    )
    await start_client(outlet, settings.brokers, timeout_seconds)
    copied = []
    try:
        for name, source in _sources(old).items():
            target = getattr(new, name).name
            partitions = [TopicPartition(source.name, number) for number in range(counts[source.name])]
            begins = {
                partition: committed[partition].offset
                for partition in partitions
                if name in UNDER_WAY and partition in committed
            }
            async with reader(settings, partitions, timeout_seconds) as consumer:
                messages = await _copy(consumer, partitions, begins, outlet, target, progress)
            copied.append(Copied(source.name, target, messages))
    except (KafkaError, DeliveryError) as error:
        raise BrokerError(f"The copying failed, and may be repeated: {error}.") from error
    finally:
        await outlet.stop()
    place = {partition: at for partition, at in committed.items() if partition.topic == new.raw.name}
    await _commit(settings, settings.app_id, place, timeout_seconds)
    return copied


def _sources(old: Topology) -> Mapping[str, TopicSpec]:
    return {name: getattr(old, name) for name in (*KEPT, *UNDER_WAY)}


def _check_apart(old: Topology, new: Topology, old_app_id: str, app_id: str) -> None:
    shared = {spec.name for spec in old.all} & {spec.name for spec in new.all} - {new.raw.name}
    if shared or old_app_id == app_id:
        raise SettingsError(
            "The new deployment must have another GRADEWATCH_APP_ID and another GRADEWATCH_TOPIC_PREFIX than "
            "the old one" + (f"; both would have {', '.join(sorted(shared))}." if shared else ".")
        )


async def _offsets(
    admin: AIOKafkaAdminClient, old_group: str, new_group: str
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the old group's committed offsets; the new group must have none."""
    try:
        if await admin.list_consumer_group_offsets(new_group):
            raise GradewatchError(
                f"Workers of {new_group} have worked already: its group has committed offsets. Take a "
                "GRADEWATCH_APP_ID and a GRADEWATCH_TOPIC_PREFIX that are new."
            )
        committed = await admin.list_consumer_group_offsets(old_group)
    except KafkaError as error:
        raise BrokerError(f"The broker did not answer about the groups: {error!r}.") from error
    if not committed:
        raise GradewatchError(
            f"Workers of {old_group} have never committed anything, so there is nothing to take over. Start "
            "the new ones."
        )
    return dict(committed)


async def _copy(
    consumer: AIOKafkaConsumer,
    partitions: list[TopicPartition],
    begins: Mapping[TopicPartition, int],
    outlet: Outlet,
    target: str,
    progress: Progress,
) -> int:
    """Copy what lies in partitions now, from `begins` or the first message on, and return how much it was."""
    firsts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    passed = {p: max(firsts[p], begins.get(p, 0)) for p in partitions}
    start, total = sum(passed.values()), sum(ends[p] - passed[p] for p in partitions)
    for partition, offset in passed.items():
        consumer.seek(partition, offset)
    messages = 0
    deadline = time.monotonic() + STALLED_SECONDS
    while left := [p for p in partitions if passed[p] < ends[p]]:
        before = sum(passed.values())
        for partition, records in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
            for record in records:
                if record.offset < ends[partition] and record.key is not None:
                    outlet.send(target, record.key, record.value, list(record.headers))
                    messages += 1
            await outlet.drain()
        for partition in left:
            passed[partition] = min(await consumer.position(partition), ends[partition])
        progress(target, sum(passed.values()) - start, total)
        if sum(passed.values()) > before:
            deadline = time.monotonic() + STALLED_SECONDS
        elif time.monotonic() > deadline:
            raise BrokerError(f"The broker gave nothing of {left[0].topic} for {STALLED_SECONDS:g} s.")
    return messages


async def _commit(
    settings: Settings,
    group: str,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    timeout_seconds: float,
) -> None:
    """Commit offsets for a group that nobody works in; a broker takes them for no other."""
    consumer = AIOKafkaConsumer(
        client_id="gradewatch-repartition",
        group_id=group,
        enable_auto_commit=False,
        **settings.kafka_client_options(),
    )
    try:
        await start_client(consumer, settings.brokers, timeout_seconds)
        consumer.assign(list(offsets))
        await consumer.commit({partition: at.offset for partition, at in offsets.items()})
    except CommitFailedError as error:
        raise GradewatchError(f"Workers of {group} are running. Stop them with SIGTERM.") from error
    except KafkaError as error:
        raise BrokerError(f"The offsets of {group} could not be committed: {error!r}.") from error
    finally:
        await consumer.stop()
