"""The broker of the benchmark: one node of Apache Kafka, set up as its own scripts and defaults do."""

from pathlib import Path

from tests.kafka import KafkaBroker

# What tests.kafka makes small or quick for tests goes back to Kafka's own defaults; with one node there is
# one copy of everything.
_DEFAULTS = {
    "group.initial.rebalance.delay.ms": "3000",
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "2000",
    "group.min.session.timeout.ms": "6000",
    "offsets.topic.num.partitions": "50",
    "log.cleaner.dedupe.buffer.size": "134217728",
    "log.index.size.max.bytes": "10485760",
    "num.network.threads": "3",
    "num.io.threads": "8",
    "background.threads": "10",
    # Topics are created by the benchmark and by each contender's own admin client, none by accident.
    "auto.create.topics.enable": "false",
}

# kafka-server-start.sh's heap and kafka-run-class.sh's garbage collector.
_JVM = (
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
)


def broker(directory: Path, *, quick: bool = False) -> KafkaBroker:
    """Return a broker whose data and log lie in `directory`; it isn't started yet.

    A quick one lets a group begin at once instead of waiting for further members; that is before any clock
    runs.
    """
    properties = {**_DEFAULTS, **({"group.initial.rebalance.delay.ms": "0"} if quick else {})}
    return KafkaBroker(directory, properties=properties, jvm_options=_JVM)
