from __future__ import annotations

import re
import time

from faust.types import TP
from prometheus_client import CollectorRegistry, generate_latest

from agents.metrics import Metrics, describe
from models.canvas import GRADE_EVENT_NAMES
from models.grades import Reason
from tables.parameters import PARAMETERS


def exposition(metrics_registry: CollectorRegistry) -> str:
    return generate_latest(metrics_registry).decode()


def test_every_declared_metric_is_exposed_under_its_own_name() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1.2.3")
    text = exposition(registry)
    for info in metrics.catalogue:
        assert re.search(rf"^# TYPE {info.name} {info.kind}$", text, re.MULTILINE), info.name
    assert 'gradewatch_build_info{python="' in text
    assert 'version="1.2.3"} 1.0' in text


def test_names_carry_the_prefix_and_descriptions_are_sentences() -> None:
    catalogue = describe()
    assert len({info.name for info in catalogue}) == len(catalogue)
    for info in catalogue:
        assert info.name.startswith("gradewatch_")
        assert (info.kind == "counter") == info.name.endswith("_total")
        assert info.description.endswith(".")
        assert not {"user_id", "course_id", "student", "root_account_uuid"} & set(info.labels)


def test_unknown_event_names_make_no_series_of_their_own() -> None:
    registry = CollectorRegistry()
    Metrics(registry, version="").count_events(
        {
            ("grade_change", "record"): 3,
            ("quizzes.quiz_graded", "ignored"): 2,
            ("x-made-up", "ignored"): 1,
            (None, "rejected"): 4,
        }
    )
    text = exposition(registry)
    assert 'gradewatch_events_total{event_name="grade_change",outcome="record"} 3.0' in text
    assert 'gradewatch_events_total{event_name="quizzes.quiz_graded",outcome="ignored"} 2.0' in text
    assert 'gradewatch_events_total{event_name="other",outcome="ignored"} 1.0' in text
    assert 'gradewatch_events_total{event_name="other",outcome="rejected"} 4.0' in text
    assert "made-up" not in text


def test_an_alert_is_counted_with_both_its_latencies() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="")
    metrics.count_alert(
        "score_drop", "opened", "critical", sent_ms=10_000, event_time_ms=4_000, raw_timestamp_ms=9_500
    )
    metrics.count_alert(
        "score_drop", "opened", "critical", sent_ms=10_000, event_time_ms=99_000, raw_timestamp_ms=None
    )
    text = exposition(registry)
    assert 'gradewatch_alerts_total{rule="score_drop",severity="critical",status="opened"} 2.0' in text
    assert "gradewatch_end_to_end_seconds_sum 6.0" in text
    assert "gradewatch_end_to_end_seconds_count 2.0" in text
    assert "gradewatch_raw_to_alert_seconds_sum 0.5" in text
    assert "gradewatch_raw_to_alert_seconds_count 1.0" in text


def test_chunks_are_observed_by_agent() -> None:
    registry = CollectorRegistry()
    Metrics(registry, version="").observe_chunk("router", 250, 0.02)
    text = exposition(registry)
    assert "gradewatch_chunk_records_sum 250.0" in text
    assert 'gradewatch_chunk_seconds_sum{agent="router"} 0.02' in text
    assert 'gradewatch_chunk_seconds_count{agent="scorer"} 0.0' in text


def test_lag_is_of_the_partitions_assigned_now() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="")
    lags = {TP("raw-events", 0): 5, TP("raw-events", 1): 7}
    metrics.ask_for_lag(lambda: lags)
    assert 'gradewatch_consumer_lag_records{partition="0",topic="raw-events"} 5.0' in exposition(registry)
    del lags[TP("raw-events", 0)]
    text = exposition(registry)
    assert 'partition="0"' not in text
    assert 'gradewatch_consumer_lag_records{partition="1",topic="raw-events"} 7.0' in text


def test_the_newest_message_is_never_turned_back_nor_of_the_future() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="")

    def newest() -> float:
        value = registry.get_sample_value("gradewatch_last_event_timestamp_seconds")
        assert value is not None
        return value

    assert newest() == 0
    metrics.saw_message(1_700_000_000_500)
    metrics.saw_message(1_600_000_000_000)
    assert newest() == 1_700_000_000.5
    before = time.time()
    metrics.saw_message(-1)  # a message without a timestamp is as new as its arrival
    assert before <= newest() <= time.time()
    metrics.saw_message(9_999_999_999_999)
    assert newest() <= time.time()


def test_what_alarms_rest_on_is_there_before_it_first_happens() -> None:
    registry = CollectorRegistry()
    Metrics(registry, version="")
    for reason in Reason:
        assert registry.get_sample_value("gradewatch_dead_letters_total", {"reason": reason}) == 0
    for name in GRADE_EVENT_NAMES:
        for outcome in ("record", "rejected"):
            labels = {"event_name": name, "outcome": outcome}
            assert registry.get_sample_value("gradewatch_events_total", labels) == 0
    for rule in PARAMETERS:
        labels = {"rule": rule, "status": "opened", "severity": "warning"}
        assert registry.get_sample_value("gradewatch_alerts_total", labels) == 0


def test_only_the_active_rules_have_a_series() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="")
    metrics.use_rules("0123456789abcdef")
    metrics.use_rules("fedcba9876543210")
    text = exposition(registry)
    assert 'gradewatch_rules_info{hash="fedcba9876543210"} 1.0' in text
    assert "0123456789abcdef" not in text
    assert "gradewatch_rules_reload_failed_total 0.0" in text
