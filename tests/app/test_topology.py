from __future__ import annotations

import faust

from agents.topology import DAY_MS, DROPS_TABLE, SCORES_TABLE, Topology


def test_names_partitions_and_retention_are_the_documented_ones() -> None:
    topology = Topology.build(prefix="school.", app_id="gw", partitions=12)
    assert [
        (spec.name, spec.partitions, spec.cleanup_policy, spec.retention_ms) for spec in topology.all
    ] == [
        ("school.raw-events", 12, "delete", 7 * DAY_MS),
        ("school.grade-records", 12, "delete", 7 * DAY_MS),
        ("school.grade-alerts", 12, "delete", 30 * DAY_MS),
        ("school.grade-alerts-staff", 12, "delete", 30 * DAY_MS),
        ("school.student-scores", 12, "compact", None),
        ("school.course-drops", 12, "delete", 7 * DAY_MS),
        ("school.dead-letters", 12, "delete", 30 * DAY_MS),
        ("gw-student_scores-changelog", 12, "compact", None),
        ("gw-course_drops-changelog", 12, "compact", None),
    ]


def test_only_the_raw_topic_may_have_other_partitions() -> None:
    topology = Topology.build(prefix="", app_id="gw", partitions=8)
    assert [spec.name for spec in topology.all if not spec.partitions_fixed] == ["raw-events"]


def test_a_raw_topic_is_taken_as_it_is() -> None:
    topology = Topology.build(prefix="school.", app_id="gw", partitions=8, raw_topic="canvas")
    assert topology.raw.name == "canvas"


def test_topic_settings_are_kafkas_own() -> None:
    topology = Topology.build(prefix="", app_id="gw", partitions=8)
    assert topology.raw.config() == {
        "cleanup.policy": "delete",
        "max.message.bytes": "8388608",
        "retention.ms": "604800000",
    }
    assert topology.snapshots.config() == {"cleanup.policy": "compact", "max.message.bytes": "8388608"}


def test_changelogs_are_called_as_faust_calls_them() -> None:
    app = faust.App("gw", env_prefix="FAUST_")
    topology = Topology.build(prefix="school.", app_id="gw", partitions=8)
    assert app.Table(SCORES_TABLE)._changelog_topic_name() == topology.scores_changelog.name
    assert app.Table(DROPS_TABLE)._changelog_topic_name() == topology.drops_changelog.name
