from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from agents.topology import DAY_MS, Topology
from app.embedded import EmbeddedBroker
from app.errors import BrokerError
from app.main import main
from app.settings import Settings
from app.topics import FoundTopic, Severity, check_topics, compare, create_topics, explain, show_retention
from tests.clients import create_topic
from tests.kafka import KafkaBroker

TOPOLOGY = Topology.build(prefix="", app_id="gw", partitions=8)


def as_meant() -> dict[str, FoundTopic]:
    return {spec.name: FoundTopic(spec.partitions, spec.config()) for spec in TOPOLOGY.all}


def with_config(topic: str, **config: str) -> dict[str, FoundTopic]:
    found = as_meant()
    changed = {name.replace("_", "."): value for name, value in config.items()}
    found[topic] = replace(found[topic], config={**found[topic].config, **changed})
    return found


def test_topics_as_meant_have_no_problems() -> None:
    assert list(compare(TOPOLOGY, as_meant())) == []


def test_settings_that_the_broker_does_not_tell_are_no_problem() -> None:
    untold = {name: FoundTopic(topic.partitions, {}) for name, topic in as_meant().items()}
    assert list(compare(TOPOLOGY, untold)) == []


def test_a_missing_topic_is_a_failure() -> None:
    found = as_meant()
    del found["grade-alerts"]
    (problem,) = compare(TOPOLOGY, found)
    assert problem.severity is Severity.FAILURE
    assert problem.sentence == "Topic grade-alerts does not exist."


def test_another_partition_count_is_a_failure_with_the_ways_out() -> None:
    found = as_meant() | {
        name: FoundTopic(4, {}) for name in ("grade-records", "gw-student_scores-changelog")
    }
    problems = list(compare(TOPOLOGY, found))
    assert {problem.severity for problem in problems} == {Severity.FAILURE}
    records, changelog, advice = explain(problems).splitlines()
    assert records == "Topic grade-records has 4 partitions and needs 8 (GRADEWATCH_PARTITIONS)."
    assert (
        changelog == "Topic gw-student_scores-changelog has 4 partitions and needs 8 (GRADEWATCH_PARTITIONS)."
    )
    assert "set GRADEWATCH_PARTITIONS=4" in advice
    assert "`gradewatch topics repartition`" in advice


def test_the_raw_topic_may_have_any_partitions() -> None:
    found = as_meant()
    found["raw-events"] = replace(found["raw-events"], partitions=3)
    assert list(compare(TOPOLOGY, found)) == []


@pytest.mark.parametrize(
    ("topic", "policy", "severity"),
    [
        ("student-scores", "delete", Severity.FAILURE),
        ("gw-student_scores-changelog", "compact,delete", Severity.FAILURE),
        ("grade-records", "compact", Severity.FAILURE),
        ("raw-events", "compact", Severity.WARNING),
    ],
)
def test_the_wrong_clean_up_loses_data(topic: str, policy: str, severity: Severity) -> None:
    (problem,) = compare(TOPOLOGY, with_config(topic, cleanup_policy=policy))
    assert problem.severity is severity
    assert problem.sentence.startswith(f"Topic {topic} has cleanup.policy {policy} and needs ")
    assert f"kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=" in problem.remedy


@pytest.mark.parametrize(
    ("retention_ms", "words"), [(DAY_MS, "1 day"), (60 * DAY_MS, "60 days"), (-1, "for ever")]
)
def test_another_retention_is_a_warning(retention_ms: int, words: str) -> None:
    (problem,) = compare(TOPOLOGY, with_config("dead-letters", retention_ms=str(retention_ms)))
    assert problem.severity is Severity.WARNING
    assert problem.sentence == f"Topic dead-letters keeps messages {words} instead of 30 days."


def test_retention_of_a_compacted_topic_is_nothing_to_us() -> None:
    assert list(compare(TOPOLOGY, with_config("student-scores", retention_ms="1"))) == []


def test_too_little_room_for_a_message_is_a_warning_and_more_is_none() -> None:
    (problem,) = compare(TOPOLOGY, with_config("dead-letters", max_message_bytes="1048588"))
    assert problem.severity is Severity.WARNING
    assert "takes messages of up to 1048588 bytes instead of 8388608" in problem.sentence
    assert list(compare(TOPOLOGY, with_config("dead-letters", max_message_bytes="99999999"))) == []


def test_retention_in_words() -> None:
    assert [show_retention(ms) for ms in (DAY_MS, DAY_MS // 2, -1)] == ["1 day", "0.5 days", "for ever"]


@pytest.fixture
def settings(kafka: KafkaBroker, topic_prefix: str, app_id: str) -> Settings:
    return Settings(brokers=kafka.bootstrap, topic_prefix=topic_prefix, app_id=app_id, partitions=3)


def topics(settings: Settings, *arguments: str) -> Result:
    environment = {
        "GRADEWATCH_BROKERS": settings.brokers,
        "GRADEWATCH_TOPIC_PREFIX": settings.topic_prefix,
        "GRADEWATCH_APP_ID": settings.app_id,
        "GRADEWATCH_PARTITIONS": str(settings.partitions),
    }
    return CliRunner().invoke(main, ["topics", *arguments], env=environment)


async def test_topics_are_created_as_meant_and_only_once(settings: Settings) -> None:
    before = await check_topics(settings, 10)
    assert len(before.failures) == len(settings.topology().all)
    created = await create_topics(settings, 10)
    assert created.created == tuple(spec.name for spec in settings.topology().all)
    assert created.problems == ()
    for spec in settings.topology().all:
        found = created.found[spec.name]
        assert found.partitions == 3
        assert found.config.items() >= spec.config().items()
    again = await create_topics(settings, 10)
    assert again.created == ()
    assert again.problems == ()


async def create_visible_topic(
    settings: Settings, name: str, partitions: int, config: Mapping[str, str] | None = None
) -> None:
    """Create a topic and wait until the broker, whose view lags behind its controller's, shows it."""
    await create_topic(settings.brokers, name, partitions, config)
    while name not in (await check_topics(settings, 10)).found:  # noqa: ASYNC110 - Kafka tells nobody
        await asyncio.sleep(0.01)


async def test_a_topic_with_another_partition_count_keeps_all_others_from_being_created(
    settings: Settings,
) -> None:
    records = settings.topology().records.name
    await create_visible_topic(settings, records, partitions=2)
    report = await create_topics(settings, 10)
    assert report.created == ()
    assert set(report.found) == {records}
    assert f"Topic {records} has 2 partitions and needs 3 (GRADEWATCH_PARTITIONS)." in explain(
        report.failures
    )


async def test_a_raw_topic_with_other_partitions_is_kept(settings: Settings) -> None:
    raw = settings.topology().raw.name
    await create_visible_topic(settings, raw, partitions=5, config=settings.topology().raw.config())
    report = await create_topics(settings, 10)
    assert report.problems == ()
    assert report.found[raw].partitions == 5


async def test_what_the_broker_refuses_is_explained(settings: Settings) -> None:
    with pytest.raises(BrokerError, match=r"The broker refused to create topic .*raw-events: .*replication"):
        await create_topics(settings.model_copy(update={"replication": 3}), 10)


def test_the_commands_end_as_scripts_expect(settings: Settings) -> None:
    missing = topics(settings, "check")
    assert missing.exit_code == 1
    assert f"Error: Topic {settings.topic_prefix}raw-events does not exist." in missing.stderr
    assert topics(settings, "create").exit_code == 0
    assert topics(settings, "create").exit_code == 0
    checked = topics(settings, "check", "--json")
    assert checked.exit_code == 0
    document = json.loads(checked.stdout)
    assert document["ok"] is True
    assert {topic["state"] for topic in document["topics"]} == {"ok"}


async def test_the_embedded_broker_takes_the_same_topics(
    embedded_broker: EmbeddedBroker, app_id: str
) -> None:
    settings = Settings(brokers=embedded_broker.bootstrap, app_id=app_id, partitions=2)
    assert (await create_topics(settings, 10)).failures == ()
    assert (await check_topics(settings, 10)).failures == ()
