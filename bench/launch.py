"""How each contender is started, and what of it is watched."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app.children import free_ports
from tests.kafka import ROOT, find_java

HERE = ROOT / "bench" / "contenders"
QUIX_PYTHON = ROOT / "target" / "bench" / "quix" / "bin" / "python"
STREAMS = ROOT / "target" / "bench" / "kafka-streams"

# The heap is fixed and of the size of the broker's; which collector is the JVM's own choice.
_JVM = ("-Xms1g", "-Xmx1g")


@dataclass(frozen=True, slots=True)
class Job:
    """What a run of a contender is about."""

    run: str
    """In the name of everything that the run makes; no other run has it."""
    brokers: str
    raw: str
    """The raw topic."""
    partitions: int
    """Of every other topic."""
    state: Path
    """A folder of the run's own."""
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How it is started, and the names by which it is watched."""

    command: tuple[str, ...]
    group: str
    alerts: str | None = None
    """The topic of its alerts."""
    keyed: str | None = None
    """The topic that is keyed by student."""
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()
    """A command that is run before, with the same environment."""
    creates: tuple[str, ...] = ()
    """Topics that the contender expects to find."""
    metrics_port: int | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing the job."""

    name: str
    """Its name in the results; variants of one contender share it, and the better counts."""
    label: str
    plan: Callable[[Job], Plan]


def _gradewatch(job: Job, *program: str, processes: int = 1) -> Plan:
    port = free_ports(1)[0] if job.workers == 1 else 0
    prefix = f"{job.run}."
    executable = str(Path(sys.executable).parent / "gradewatch")
    env = {
        "GRADEWATCH_BROKERS": job.brokers,
        "GRADEWATCH_APP_ID": job.run,
        "GRADEWATCH_TOPIC_PREFIX": prefix,
        "GRADEWATCH_RAW_TOPIC": job.raw,
        "GRADEWATCH_PARTITIONS": str(job.partitions),
        "GRADEWATCH_RULES": str(HERE / "gradewatch" / "rules.toml"),
        "GRADEWATCH_DATA_DIR": str(job.state / "{worker}"),
        "GRADEWATCH_WEB_PORT": str(port if processes == 1 else 0),
        "GRADEWATCH_PROCESSES": str(processes),
        "GRADEWATCH_LOG_FORMAT": "json",
    }
    return Plan(
        command=program or (executable, "worker"),
        group=job.run,
        alerts=f"{prefix}grade-alerts",
        keyed=f"{prefix}grade-records",
        env=env,
        prepare=(executable, "topics", "create"),
        metrics_port=port,
    )


def _out_of_step(job: Job) -> Plan:
    return _gradewatch(job, sys.executable, "-m", "bench.contenders.gradewatch.out_of_step")


def _without_metrics(job: Job) -> Plan:
    return _gradewatch(job, sys.executable, "-m", "bench.contenders.gradewatch.without_metrics")


def _quix(job: Job) -> Plan:
    alerts = f"{job.run}.alerts"
    arguments = (job.brokers, job.raw, alerts, job.run, str(job.state))
    return Plan(
        command=(str(QUIX_PYTHON), "-m", "bench.contenders.quix.main", *arguments),
        group=job.run,
        alerts=alerts,
        keyed=f"repartition__{job.run}--{job.raw}--student",
        creates=(alerts,),
    )


def _kafka_streams(threads: int) -> Callable[[Job], Plan]:
    def plan(job: Job) -> Plan:
        alerts = f"{job.run}.alerts"
        arguments = (job.brokers, job.raw, alerts, job.run, str(job.state), str(job.partitions), str(threads))
        classpath = f"{STREAMS / 'contender.jar'}:{STREAMS / 'libs'}/*"
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return Plan(
            command=(find_java() or "java", *_JVM, quiet, "-cp", classpath, "bench.Main", *arguments),
            group=job.run,
            alerts=alerts,
            keyed=f"{job.run}-student-repartition",
            creates=(alerts,),
        )

    return plan


def _faust_idiomatic(job: Job) -> Plan:
    records, alerts = f"{job.run}.records", f"{job.run}.alerts"
    arguments = (job.brokers, job.raw, records, alerts, job.run, str(job.state), str(job.partitions))
    return Plan(
        command=(sys.executable, "-m", "bench.contenders.faust_idiomatic.main", *arguments),
        group=job.run,
        alerts=alerts,
        keyed=records,
        creates=(records, alerts),
    )


def _limit(job: Job) -> Plan:
    return Plan(
        command=(sys.executable, "-m", "bench.contenders.limit.main", job.brokers, job.raw, job.run),
        group=job.run,
    )


GRADEWATCH = Contender("gradewatch", "Gradewatch", _gradewatch)
GRADEWATCH_OUT_OF_STEP = Contender(
    "gradewatch_out_of_step", "Gradewatch, partitions out of step", _out_of_step
)
GRADEWATCH_WITHOUT_METRICS = Contender(
    "gradewatch_without_metrics", "Gradewatch, metrics that note nothing", _without_metrics
)
GRADEWATCH_2 = Contender("gradewatch", "Gradewatch, 2 processes", partial(_gradewatch, processes=2))
QUIX = Contender("quix", "Quix Streams", _quix)
KAFKA_STREAMS = Contender("kafka_streams", "Kafka Streams, 1 thread", _kafka_streams(1))
KAFKA_STREAMS_2 = Contender("kafka_streams", "Kafka Streams, 2 threads", _kafka_streams(2))
FAUST = Contender("faust_idiomatic", "Idiomatic Faust", _faust_idiomatic)
LIMIT = Contender("limit", "Limit: fetch and parse", _limit)
