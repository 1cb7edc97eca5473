"""Every Prometheus metric, declared on a registry that is handed in.

Labels are bounded and never name a student or a course. Nothing here is meant to be called per event: an
agent counts a chunk in a `collections.Counter` and hands it over once.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from faust.types import TP
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.canvas import CANVAS_EVENT_NAMES, GRADE_EVENT_NAMES
from models.grades import Reason
from tables.parameters import PARAMETERS

OTHER: Final = "other"
"""Label of every event name that Canvas does not send; a sender must not be able to make up series."""

AGENTS: Final = ("router", "scorer", "courses")
FLUSH_STEPS: Final = ("outlet", "changelog", "store", "commit")

_KINDS_OF_ALERT = (
    ("opened", "info"),
    ("opened", "warning"),
    ("opened", "critical"),
    ("escalated", "warning"),
    ("escalated", "critical"),
    ("resolved", "info"),
)
"""Statuses with the severities that rules give them."""

_CHUNK_RECORDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
_CHUNK_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_FLUSH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_RAW_TO_ALERT_SECONDS = (
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600,
)  # fmt: skip
_END_TO_END_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400)

Lags: TypeAlias = Callable[[], Mapping[TP, int]]
"""Tells the records not committed yet of each assigned partition."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric as the documentation presents it."""

    name: str
    """Name as Prometheus stores it; a histogram's series end in `_bucket`, `_sum` and `_count`."""
    kind: Kind
    labels: tuple[str, ...]
    description: str


class Metrics:
    """The metrics of one worker."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        """Declare everything on `registry`; `version` is the program's."""
        self._registry = registry
        self._catalogue: list[MetricInfo] = []

        # What came in.
        self.events = self._counter(
            "gradewatch_events_total",
            "Raw messages read, by event name (other: none that Canvas sends) and outcome (record, ignored, "
            "rejected).",
            "event_name",
            "outcome",
        )
        self.renamed_events = self._counter(
            "gradewatch_renamed_events_total",
            "Overrides that came under the name grade_change, as Canvas's documentation shows them.",
        )
        self.dead_letters = self._counter(
            "gradewatch_dead_letters_total", "Raw messages that could not be read, by reason.", "reason"
        )
        self.late_events = self._counter(
            "gradewatch_late_events_total",
            "Records older than what was known; they correct the table and are not judged.",
            "type",
        )
        self.duplicate_events = self._counter(
            "gradewatch_duplicate_events_total", "Records that were in the table already.", "type"
        )
        self.last_event_timestamp = self._gauge(
            "gradewatch_last_event_timestamp_seconds",
            "Kafka timestamp of the newest raw message read, in seconds since 1970 and never ahead of this "
            "worker's clock; 0 before the first.",
        )

        # What went out.
        self.alerts = self._counter(
            "gradewatch_alerts_total",
            "Alerts sent, by rule, status (opened, escalated, resolved) and severity (info, warning, "
            "critical).",
            "rule",
            "status",
            "severity",
        )
        self.end_to_end = self._histogram(
            "gradewatch_end_to_end_seconds",
            "From the event's own time to its alert sent.",
            _END_TO_END_SECONDS,
        )
        self.raw_to_alert = self._histogram(
            "gradewatch_raw_to_alert_seconds",
            "From the raw message's Kafka timestamp to its alert sent.",
            _RAW_TO_ALERT_SECONDS,
        )

        # How the engine runs.
        self.chunk_records = self._histogram(
            "gradewatch_chunk_records", "Records in one chunk.", _CHUNK_RECORDS
        )
        self.chunk_seconds = self._histogram(
            "gradewatch_chunk_seconds",
            "Time an agent works on one chunk.",
            _CHUNK_SECONDS,
            "agent",
        )
        self.flush_seconds = self._histogram(
            "gradewatch_flush_seconds",
            "Time of each step of a flush: derived records acknowledged (outlet), changed rows to the "
            "changelog, the same to the local store, offsets committed.",
            _FLUSH_SECONDS,
            "step",
        )
        self.flushed_keys = self._counter("gradewatch_flushed_keys_total", "Changed rows written by flushes.")
        self.last_commit_timestamp = self._gauge(
            "gradewatch_last_commit_timestamp_seconds",
            "Time of the newest offset commit, in seconds since 1970; 0 before the first.",
        )
        self._lag = _LagCollector(
            self._described(
                "gradewatch_consumer_lag_records",
                "gauge",
                "Records of a partition assigned to this worker that are not committed yet.",
                "topic",
                "partition",
            )
        )
        registry.register(self._lag)
        self.table_keys = self._gauge(
            "gradewatch_table_keys",
            "Students in this worker's part of the table, standby copies included; RocksDB's estimate, which "
            "counts a row that changed lately more than once.",
        )
        self.recovery_remaining = self._gauge(
            "gradewatch_recovery_remaining_records", "Changelog records still to be read before work starts."
        )
        self.rules_info = self._gauge(
            "gradewatch_rules_info", "Always 1; the label tells which rules are active.", "hash"
        )
        self.rules_loaded_timestamp = self._gauge(
            "gradewatch_rules_loaded_timestamp_seconds",
            "Time at which the active rules were read, in seconds since 1970.",
        )
        self.rules_reload_failed = self._counter(
            "gradewatch_rules_reload_failed_total",
            "Rules files that were to replace the active rules and had mistakes.",
        )
        self.ready = self._gauge("gradewatch_ready", "1 while the worker is assigned and recovered, else 0.")
        self._build_info = self._gauge(
            "gradewatch_build_info", "Always 1; the labels tell the versions.", "version", "python"
        )
        self._build_info.labels(version, platform.python_version()).set(1)

        # A series that first appears with its first increment hides that increment from rate().
        for agent in AGENTS:
            self.chunk_seconds.labels(agent)
        for step in FLUSH_STEPS:
            self.flush_seconds.labels(step)
        for reason in Reason:
            self.dead_letters.labels(reason)
        for rule in PARAMETERS:
            for status, severity in _KINDS_OF_ALERT:
                self.alerts.labels(rule, status, severity)
        for name in GRADE_EVENT_NAMES:
            self.events.labels(name, "record")
            self.events.labels(name, "rejected")
            self.late_events.labels(name)
            self.duplicate_events.labels(name)
        for outcome in ("ignored", "rejected"):
            self.events.labels(OTHER, outcome)
        self._newest_message_seconds = 0.0

    def count_events(self, counts: Mapping[tuple[str | None, str], int]) -> None:
        """Count raw messages by event name as it was read, None when there was none, and outcome."""
        for (name, outcome), count in counts.items():
            label = name if name is not None and name in CANVAS_EVENT_NAMES else OTHER
            self.events.labels(label, outcome).inc(count)

    def saw_message(self, timestamp_ms: int) -> None:
        """Note the Kafka timestamp of a raw message in milliseconds since 1970; below 0 there is none.

        A backlog or a sender's slow clock never turns it back. One in the future counts as now, or a single
        wrong clock would hide for days that nothing comes any more.
        """
        now_seconds = time.time()
        seconds = timestamp_ms / 1_000 if timestamp_ms >= 0 else now_seconds
        self._newest_message_seconds = max(self._newest_message_seconds, min(seconds, now_seconds))
        self.last_event_timestamp.set(self._newest_message_seconds)

    def count_alert(
        self,
        rule: str,
        status: str,
        severity: str,
        *,
        sent_ms: int,
        event_time_ms: int,
        raw_timestamp_ms: int | None,
    ) -> None:
        """Count an alert that the broker has acknowledged at `sent_ms`; times are milliseconds since 1970.

        A clock that runs ahead of ours makes no negative durations.
        """
        self.alerts.labels(rule, status, severity).inc()
        self.end_to_end.observe(max(0, sent_ms - event_time_ms) / 1_000)
        if raw_timestamp_ms is not None:
            self.raw_to_alert.observe(max(0, sent_ms - raw_timestamp_ms) / 1_000)

    def use_rules(self, digest: str) -> None:
        """Tell which rules are active from now on."""
        self.rules_info.clear()
        self.rules_info.labels(digest).set(1)
        self.rules_loaded_timestamp.set_to_current_time()

    def observe_chunk(self, agent: str, records: int, seconds: float) -> None:
        """Record one chunk of `records` messages that `agent` worked on for `seconds`."""
        self.chunk_records.observe(records)
        self.chunk_seconds.labels(agent).observe(seconds)

    def ask_for_lag(self, lags: Lags) -> None:
        """Show what `lags` returns, by topic and partition, whenever the metrics are asked for.

        So it's never older than the question, and a partition's series goes with the partition.
        """
        self._lag.lags = lags

    def _described(self, name: str, kind: Kind, description: str, *labels: str) -> MetricInfo:
        info = MetricInfo(name, kind, labels, description)
        self._catalogue.append(info)
        return info

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        self._described(name, "counter", description, *labels)
        # prometheus_client puts _total after the name itself.
        return Counter(name.removesuffix("_total"), description, labels, registry=self._registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        self._described(name, "gauge", description, *labels)
        return Gauge(name, description, labels, registry=self._registry)

    def _histogram(self, name: str, description: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        self._described(name, "histogram", description, *labels)
        return Histogram(name, description, labels, registry=self._registry, buckets=buckets)

    @property
    def catalogue(self) -> tuple[MetricInfo, ...]:
        """Every metric in the order of its declaration."""
        return tuple(self._catalogue)


class _LagCollector(Collector):
    """Makes the series of the partitions that are assigned at the moment of asking."""

    def __init__(self, info: MetricInfo) -> None:
        self._info = info
        self.lags: Lags = dict

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._info.name, self._info.description, labels=self._info.labels)
        for (topic, partition), records in self.lags().items():
            family.add_metric((topic, str(partition)), records)
        yield family


def describe() -> tuple[MetricInfo, ...]:
    """Return every metric, for the documentation."""
    return Metrics(CollectorRegistry(), version="").catalogue
