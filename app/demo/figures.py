"""What a demo has counted: by the worker's metrics on one side, by the topics on the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from models.alerts import Alert
from models.headers import REASON

OUTCOMES: Final = ("record", "ignored", "rejected")
"""What becomes of a raw message, as `gradewatch_events_total` names it."""


class Scrape:
    """One reading of a worker's `/metrics`."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def count(self, name: str, by: str, **where: str) -> Counter[str]:
        """Add up the series of a counter whose labels are as `where` says, by one label."""
        counts: Counter[str] = Counter()
        for labels, value in self._samples.get(name, ()):
            if value and all(labels.get(label) == wanted for label, wanted in where.items()):
                counts[labels[by]] += int(value)
        return counts

    def at_most(self, name: str, share: float) -> float | None:
        """Return the smallest bucket's bound that `share` of a histogram's observations don't exceed.

        None when nothing was observed, or only the last, unbounded bucket would do.
        """
        buckets = sorted((float(labels["le"]), count) for labels, count in self._samples[f"{name}_bucket"])
        total = buckets[-1][1]
        if not total:
            return None
        bound = next(bound for bound, count in buckets if count >= share * total)
        return None if math.isinf(bound) else bound


@dataclass(slots=True)
class Derived:
    """What the derived topics were seen to hold."""

    alerts: list[Alert] = field(default_factory=list)
    dead_letters: Counter[str] = field(default_factory=Counter)
    """By reason."""
    snapshots: set[bytes] = field(default_factory=set)
    """Keys of the snapshots that are there, `root account:student:course`."""

    def dead_letter(self, headers: tuple[tuple[str, bytes], ...]) -> None:
        """Count a dead letter."""
        self.dead_letters[dict(headers).get(REASON, b"none").decode()] += 1

    def snapshot(self, key: bytes, value: bytes | None) -> None:
        """Note a snapshot, or that it was taken back."""
        if value is None:
            self.snapshots.discard(key)
        else:
            self.snapshots.add(key)


@dataclass(frozen=True, slots=True)
class Figures:
    """A finished demo in numbers. `sent` is the demo's own count; the others say where they come from."""

    sent: int
    seconds: float
    """From the first event sent to the last one's effects committed."""
    raw_messages: int
    """Messages in the raw topic."""
    grade_records: int
    """Messages in the topic of grade records."""
    derived: Derived
    """From the other topics."""
    scrape: Scrape
    """From the worker."""

    @property
    def outcomes(self) -> dict[str, int]:
        """Raw messages by outcome, as the worker counted them."""
        counts = self.scrape.count("gradewatch_events_total", by="outcome")
        return {outcome: counts[outcome] for outcome in OUTCOMES}

    @property
    def records(self) -> Counter[str]:
        """Grade records by type, as the worker counted them."""
        return self.scrape.count("gradewatch_events_total", by="event_name", outcome="record")

    @property
    def late(self) -> int:
        """Records older than what was known of their course."""
        return self.scrape.count("gradewatch_late_events_total", by="type").total()

    @property
    def duplicates(self) -> int:
        """Records that were in the table already."""
        return self.scrape.count("gradewatch_duplicate_events_total", by="type").total()

    @property
    def alerts(self) -> dict[str, Counter[str]]:
        """Alerts by rule and severity, as the topics have them; the most frequent rule first."""
        rules = Counter(alert.rule for alert in self.derived.alerts)
        return {
            rule: Counter(alert.severity for alert in self.derived.alerts if alert.rule == rule)
            for rule, _ in rules.most_common()
        }

    @property
    def students(self) -> int:
        """Students of whom there is a snapshot."""
        return len({key.rsplit(b":", 1)[0] for key in self.derived.snapshots})

    @property
    def courses(self) -> int:
        """Courses of which there is a snapshot."""
        return len({key.rsplit(b":", 1)[1] for key in self.derived.snapshots})

    @property
    def events_per_second(self) -> float:
        """Raw messages worked off per second, which is no more than were sent."""
        return self.raw_messages / self.seconds

    def latency_seconds(self, share: float) -> float | None:
        """Return what `share` of the alerts did not take longer than, from raw message to alert sent."""
        return self.scrape.at_most("gradewatch_raw_to_alert_seconds", share)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for whatever does not add up; nothing when all is well."""
        outcomes = self.outcomes
        in_alerts = self.scrape.count("gradewatch_alerts_total", by="rule").total()
        for what, one, other, another in (
            ("events sent", self.sent, "messages in the raw topic", self.raw_messages),
            (
                "raw messages",
                self.raw_messages,
                "grade records, ignored events and dead letters",
                sum(outcomes.values()),
            ),
            (
                "grade records counted by the worker",
                outcomes["record"],
                "messages in their topic",
                self.grade_records,
            ),
            (
                "dead letters counted by the worker",
                outcomes["rejected"],
                "messages in their topic",
                self.derived.dead_letters.total(),
            ),
            (
                "alerts counted by the worker",
                in_alerts,
                "messages in their topics",
                len(self.derived.alerts),
            ),
        ):
            if one != another:
                yield f"{one:,} {what}, but {another:,} {other}."

    def document(self) -> dict[str, Any]:
        """Return the figures as a JSON document."""
        return {
            "adds_up": not list(self.problems()),
            "raw_messages": self.raw_messages,
            "events_by_outcome": self.outcomes,
            "records_by_type": dict(self.records),
            "late_records": self.late,
            "duplicate_records": self.duplicates,
            "dead_letters_by_reason": dict(self.derived.dead_letters.most_common()),
            "alerts": len(self.derived.alerts),
            "alerts_by_rule": {rule: dict(counts) for rule, counts in self.alerts.items()},
            "students": self.students,
            "courses": self.courses,
            "student_courses": len(self.derived.snapshots),
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second),
            "raw_to_alert_seconds_at_most": {
                "p50": self.latency_seconds(0.5),
                "p99": self.latency_seconds(0.99),
            },
        }
