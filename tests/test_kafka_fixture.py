"""The broker that other tests stand on does what those tests take for granted."""

from pathlib import Path

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError

from app.embedded import speaks_kafka
from tests import kafka as kafka_module
from tests.clients import consume, create_topic, produce
from tests.kafka import KafkaBroker, KafkaError, missing_requirement

_JAVA = "Java 17 or newer (on Debian: apt-get install openjdk-17-jre-headless maven)"
VALUES = [f"value {n} ".encode() * 20 for n in range(200)]


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "snappy", "gzip"])
async def test_compressed_topics_are_read_back(
    kafka: KafkaBroker, topic_prefix: str, compression: str | None
) -> None:
    topic = f"{topic_prefix}round-trip"
    await create_topic(kafka.bootstrap, topic)
    await produce(kafka.bootstrap, topic, VALUES, compression=compression)
    assert [record.value for record in await consume(kafka.bootstrap, topic)] == VALUES


async def test_all_partitions_of_a_topic_are_read(kafka: KafkaBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}many"
    await create_topic(kafka.bootstrap, topic, partitions=3, config={"cleanup.policy": "compact"})
    for partition in (2, 0):
        await produce(kafka.bootstrap, topic, [b"first", None], key=b"k", partition=partition)
    assert [(r.partition, r.offset, r.value) for r in await consume(kafka.bootstrap, topic)] == [
        (0, 0, b"first"),
        (0, 1, None),
        (2, 0, b"first"),
        (2, 1, None),
    ]


async def test_a_topic_is_not_created_by_reading_it(kafka: KafkaBroker, topic_prefix: str) -> None:
    for _ in range(2):
        with pytest.raises(UnknownTopicOrPartitionError):
            await consume(kafka.bootstrap, f"{topic_prefix}never-created")


async def test_data_and_port_survive_a_restart_and_a_kill(own_kafka: KafkaBroker) -> None:
    await create_topic(own_kafka.bootstrap, "kept")
    await produce(own_kafka.bootstrap, "kept", VALUES)
    before = own_kafka.pid

    own_kafka.restart()
    assert own_kafka.pid != before
    assert [record.value for record in await consume(own_kafka.bootstrap, "kept")] == VALUES

    own_kafka.kill()
    assert not speaks_kafka(*_host_and_port(own_kafka.bootstrap))
    own_kafka.start()
    assert [record.value for record in await consume(own_kafka.bootstrap, "kept")] == VALUES


@pytest.mark.usefixtures("kafka_installed")
def test_a_further_listener_and_a_server_property_are_taken(tmp_path: Path) -> None:
    with KafkaBroker(
        tmp_path / "kafka", listeners={"SECOND": "PLAINTEXT"}, properties={"num.partitions": "7"}
    ) as broker:
        assert broker.address("SECOND") != broker.bootstrap
        assert speaks_kafka(*_host_and_port(broker.address("SECOND")))
        assert "num.partitions = 7" in broker.log_path.read_text()


@pytest.mark.usefixtures("kafka_installed")
def test_a_broker_that_is_misconfigured_says_so(tmp_path: Path) -> None:
    broken = KafkaBroker(tmp_path / "kafka", properties={"num.io.threads": "none"})
    with pytest.raises(KafkaError, match=r"num\.io\.threads"):
        broken.start()


@pytest.mark.usefixtures("kafka_installed")
def test_a_broker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = KafkaBroker(tmp_path / "kafka", start_timeout_seconds=0.1)
    with pytest.raises(KafkaError, match=r"did not start within 0\.1 s"):
        slow.start()
    with pytest.raises(KafkaError, match="doesn't run"):
        slow.stop()


def test_what_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_module, "STAMP", tmp_path / "stamp")
    assert missing_requirement() == f"Apache Kafka needs {_JAVA}; found none"

    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_372\"' >&2\n")
    java.chmod(0o755)
    assert missing_requirement() == f"Apache Kafka needs {_JAVA}; {java} is version 8"

    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\" 2025-04-15' >&2\n")
    assert "make kafka-jars" in (missing_requirement() or "")

    (tmp_path / "stamp").touch()
    assert missing_requirement() is None


def _host_and_port(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)
