"""Every topic and table changelog in one place: its name, partitions, clean-up and retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DAY_MS: Final = 86_400_000
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""Room for one message in every topic. A raw event may be this large, and what is derived from a message
or says why it was refused must never be stopped by a smaller limit further down the way."""

SCORES_TABLE: Final = "student_scores"
"""Name of the table of student states, as Faust knows it."""

DROPS_TABLE: Final = "course_drops"
"""Name of the table of courses' drops, as Faust knows it."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be on the broker."""

    name: str
    """Full name, prefix included."""
    partitions: int
    """Partitions it is created with."""
    cleanup_policy: Literal["delete", "compact"]
    retention_ms: int | None
    """How long messages are kept, in milliseconds; None where compaction keeps each key's newest."""
    max_message_bytes: int = MAX_MESSAGE_BYTES
    """Largest record batch the topic takes, in bytes."""
    partitions_fixed: bool = True
    """Whether an existing topic must have exactly these partitions."""

    def config(self) -> dict[str, str]:
        """Return the topic-level settings under Kafka's own names and in its own spelling."""
        config = {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(self.max_message_bytes)}
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        return config


def changelog_name(app_id: str, table: str) -> str:
    """Return the name Faust gives a table's changelog (`Collection._changelog_topic_name`)."""
    return f"{app_id}-{table}-changelog"


@dataclass(frozen=True, slots=True)
class Topology:
    """What one deployment reads and writes.

    All topics but `raw` share one partition count: a student's key must fall on the same partition number
    in `records`, `snapshots` and the changelog, so that the worker that scores a student also holds the row;
    and a course's in `course_drops` and its changelog.
    """

    raw: TopicSpec
    """Canvas events as the bridges deliver them."""
    records: TopicSpec
    """Typed grade records, keyed by student. For staff."""
    alerts: TopicSpec
    """Alerts that students may see."""
    staff_alerts: TopicSpec
    """Alerts from unposted or muted values, or about whole courses. For staff."""
    snapshots: TopicSpec
    """The newest posted scores per student and course, compacted."""
    course_drops: TopicSpec
    """Opened score drops, keyed by course. For staff."""
    dead_letters: TopicSpec
    """Messages that could not be read, byte for byte, and why. For staff."""
    scores_changelog: TopicSpec
    """The table of student states, as it is recovered from. For staff."""
    drops_changelog: TopicSpec
    """The table of courses' drops, as it is recovered from. For staff."""

    @classmethod
    def build(cls, prefix: str, app_id: str, partitions: int, raw_topic: str | None = None) -> Topology:
        """Return the topology of a deployment.

        `prefix` is put before every topic name as it is; changelogs are named by `app_id` alone, because
        they belong to one consumer group. `raw_topic`, when given, is the raw topic's whole name.
        """

        def deleted_after(name: str, days: int) -> TopicSpec:
            return TopicSpec(prefix + name, partitions, "delete", days * DAY_MS)

        def compacted(name: str) -> TopicSpec:
            return TopicSpec(name, partitions, "compact", None)

        return cls(
            raw=TopicSpec(
                raw_topic or f"{prefix}raw-events", partitions, "delete", 7 * DAY_MS, partitions_fixed=False
            ),
            records=deleted_after("grade-records", 7),
            alerts=deleted_after("grade-alerts", 30),
            staff_alerts=deleted_after("grade-alerts-staff", 30),
            snapshots=compacted(f"{prefix}student-scores"),
            course_drops=deleted_after("course-drops", 7),
            dead_letters=deleted_after("dead-letters", 30),
            scores_changelog=compacted(changelog_name(app_id, SCORES_TABLE)),
            drops_changelog=compacted(changelog_name(app_id, DROPS_TABLE)),
        )

    @property
    def all(self) -> tuple[TopicSpec, ...]:
        """Every topic, in the order in which an event passes through them."""
        return (
            self.raw,
            self.records,
            self.alerts,
            self.staff_alerts,
            self.snapshots,
            self.course_drops,
            self.dead_letters,
            self.scores_changelog,
            self.drops_changelog,
        )
