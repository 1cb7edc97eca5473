"""Topics as they are against topics as they must be: checked at every start, created on request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from agents.topology import DAY_MS, TopicSpec, Topology
from app.broker import admin_client, check_group, partition_counts
from app.errors import BrokerError, TopicsError
from app.refusals import ACLS_ADVICE, AUTHORIZATION_ERRORS

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from app.settings import Settings

VISIBLE_WITHIN_SECONDS: Final = 15.0
"""How long created topics may take until every broker asked knows them and their leaders."""

BROKER_DEFAULT: Final = -1
"""Stands for the broker's own `default.replication.factor` (KIP-464)."""


class Severity(StrEnum):
    """What a problem means for a worker."""

    FAILURE = "failure"
    """It must not start."""
    WARNING = "warning"
    """It works, but not as intended."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a topic is not as it must be."""

    topic: str
    severity: Severity
    sentence: str
    """What is wrong."""
    remedy: str
    """What to do about it; the same for topics with the same problem."""


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the broker has it."""

    partitions: int
    config: Mapping[str, str]
    """Topic-level settings by Kafka's names; empty where the broker would not say."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found and what is wrong with it."""

    topology: Topology
    found: Mapping[str, FoundTopic]
    problems: tuple[Problem, ...]
    created: tuple[str, ...] = ()
    cluster_id: str | None = None
    """The cluster's own name for itself; None where the broker doesn't tell."""

    @property
    def failures(self) -> tuple[Problem, ...]:
        """Problems that keep a worker from starting."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.FAILURE)


def explain(problems: Sequence[Problem]) -> str:
    """Return the problems, one a line, and what to do about them, each advice once."""
    return "\n".join(
        [*(problem.sentence for problem in problems), *dict.fromkeys(problem.remedy for problem in problems)]
    )


def compare(
    topology: Topology, found: Mapping[str, FoundTopic], hidden: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield what is wrong with the topics that were found, in the order of the topology.

    Of `hidden` topics the broker does not say whether they exist.
    """
    for spec in topology.all:
        topic = found.get(spec.name)
        if topic is None and spec.name in hidden:
            yield Problem(
                spec.name,
                Severity.FAILURE,
                f"Topic {spec.name} does not exist, or the broker does not allow this user to see it.",
                f"The user needs Describe and DescribeConfigs at least. {ACLS_ADVICE}",
            )
            continue
        if topic is None:
            yield Problem(
                spec.name,
                Severity.FAILURE,
                f"Topic {spec.name} does not exist.",
                "`gradewatch topics create` creates what is missing.",
            )
            continue
        if spec.partitions_fixed and topic.partitions != spec.partitions:
            yield Problem(
                spec.name,
                Severity.FAILURE,
                f"Topic {spec.name} has {topic.partitions} partitions and needs {spec.partitions} "
                "(GRADEWATCH_PARTITIONS).",
                "A student must fall on the same partition in every topic but the raw one: set "
                f"GRADEWATCH_PARTITIONS={topic.partitions} if all have so many; or move into new topics "
                "with `gradewatch topics repartition`, which loses nothing; or, where the topics named "
                "here are empty, delete them and run `gradewatch topics create`.",
            )
        yield from _compare_config(spec, topic)


def _compare_config(spec: TopicSpec, topic: FoundTopic) -> Iterator[Problem]:
    """Yield what is wrong with a topic's settings.

    The wrong clean-up loses what must be kept, or keeps what must go, and so is a failure; but the raw topic
    may be somebody else's, and of it nothing is read twice.
    """

    def problem(severity: Severity, what: str, key: str) -> Problem:
        return Problem(
            spec.name,
            severity,
            f"Topic {spec.name} {what}.",
            f"Put it right with kafka-configs.sh --alter --topic {spec.name} "
            f"--add-config {key}={spec.config()[key]}.",
        )

    policy = topic.config.get("cleanup.policy")
    if policy is not None and policy != spec.cleanup_policy:
        severity = Severity.FAILURE if spec.partitions_fixed else Severity.WARNING
        yield problem(
            severity, f"has cleanup.policy {policy} and needs {spec.cleanup_policy}", "cleanup.policy"
        )
    kept_ms = topic.config.get("retention.ms")
    if spec.retention_ms is not None and kept_ms is not None and int(kept_ms) != spec.retention_ms:
        yield problem(
            Severity.WARNING,
            f"keeps messages {show_retention(int(kept_ms))} instead of {show_retention(spec.retention_ms)}",
            "retention.ms",
        )
    limit = topic.config.get("max.message.bytes")
    if limit is not None and int(limit) < spec.max_message_bytes:
        yield problem(
            Severity.WARNING,
            f"takes messages of up to {limit} bytes instead of {spec.max_message_bytes}: a larger one would "
            "stop the worker",
            "max.message.bytes",
        )


def show_retention(retention_ms: int) -> str:
    """Return a retention in words."""
    if retention_ms < 0:
        return "for ever"
    days = retention_ms / DAY_MS
    return "1 day" if days == 1 else f"{days:g} days"


async def check_topics(settings: Settings, timeout_seconds: float) -> Report:
    """Compare the topics with what `settings` need.

    Raises BrokerError when the broker cannot be asked, or does not allow this user to be in its group.
    """
    async with admin_client(settings, timeout_seconds) as admin:
        await check_group(admin, settings.app_id)
        report = await _inspect(admin, settings.topology())
        return replace(report, cluster_id=(await admin.describe_cluster()).get("cluster_id"))


async def create_topics(settings: Settings, timeout_seconds: float) -> Report:
    """Create the topics that are missing and change none that is there.

    Nothing is created beside a topic that a worker would refuse: the report then has failures. Raises
    BrokerError when the broker cannot be asked or refuses.
    """
    topology = settings.topology()
    async with admin_client(settings, timeout_seconds) as admin:
        before = await _inspect(admin, topology)
        missing = [spec for spec in topology.all if spec.name not in before.found]
        refused = [problem for problem in before.failures if problem.topic in before.found]
        if refused or not missing:
            return before
        created = await _create(admin, missing, settings.replication)
        after = await _inspect_until_visible(admin, topology)
    return Report(topology, after.found, after.problems, created)


async def _create(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int | None
) -> tuple[str, ...]:
    """Create topics and return the names of those that nobody else created meanwhile."""
    topics = [
        NewTopic(
            name=spec.name,
            num_partitions=spec.partitions,
            replication_factor=BROKER_DEFAULT if replication is None else replication,
            replica_assignments={}
            if replication is None
            else None,  # aiokafka's rule, though it says nothing
            topic_configs=spec.config(),
        )
        for spec in specs
    ]
    try:
        answer = await admin.create_topics(topics)
    except KafkaError as error:
        raise BrokerError(f"The broker did not create the topics: {error}.") from error
    created: list[str] = []
    refusals: list[str] = []
    forbidden = False
    for name, code, *message in answer.topic_errors:
        if not code:
            created.append(name)
        elif (error_type := for_code(code)) is not TopicAlreadyExistsError:
            why = (message[0] if message else None) or error_type.__name__
            refusals.append(f"The broker refused to create topic {name}: {why.rstrip('.')}.")
            forbidden |= error_type in AUTHORIZATION_ERRORS
    if forbidden:
        refusals.append(f"The user needs Create on them. {ACLS_ADVICE}")
    if refusals:
        raise BrokerError("\n".join(refusals))
    return tuple(spec.name for spec in specs if spec.name in created)


async def _inspect_until_visible(admin: AIOKafkaAdminClient, topology: Topology) -> Report:
    """Look again until what was created is known to the broker asked, which takes a moment in a cluster."""
    deadline = time.monotonic() + VISIBLE_WITHIN_SECONDS
    while True:
        report = await _inspect(admin, topology)
        if len(report.found) == len(topology.all):
            return report
        if time.monotonic() > deadline:
            raise TopicsError(
                f"The broker took the creation of topics but did not show them within "
                f"{VISIBLE_WITHIN_SECONDS:g} s: {', '.join(problem.topic for problem in report.failures)}."
            )
        await asyncio.sleep(0.1)


async def _inspect(admin: AIOKafkaAdminClient, topology: Topology) -> Report:
    counts = await partition_counts(admin)
    names = [spec.name for spec in topology.all if spec.name in counts]
    configs, hidden = await _configs(admin, [spec.name for spec in topology.all])
    hidden |= configs.keys() - counts.keys()  # DescribeConfigs lets nobody see a topic, Describe does
    found = {name: FoundTopic(counts[name], configs.get(name, {})) for name in names}
    return Report(topology, found, tuple(compare(topology, found, hidden)))


async def _configs(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Return the topics' settings, and the names of those about which this client may not ask."""
    wanted: dict[str, Any] = dict.fromkeys(("cleanup.policy", "retention.ms", "max.message.bytes"))
    try:
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
        )
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(f"The broker did not answer about its topics' settings: {error!r}.") from error
    resources = [resource for answer in answers for resource in answer.resources]
    configs = {
        name: {entry[0]: entry[1] for entry in entries}
        for error_code, _, _, name, entries in resources
        if error_code == 0
    }
    hidden = {name for code, _, _, name, _ in resources if code == TopicAuthorizationFailedError.errno}
    return configs, hidden
