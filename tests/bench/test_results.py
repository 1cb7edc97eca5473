"""The results file keeps its shape, merges parts, and tells what moved."""

from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from bench.results import (
    Latency,
    Percentiles,
    Restore,
    Results,
    Throughput,
    fastest_peer,
    load,
    moves,
    ratios,
    save,
)

GRADES = Throughput(
    gradewatch=60_000.4, quix=20_000, kafka_streams=30_000, faust_idiomatic=3_000, limit=150_000
)
FIREHOSE = Throughput(
    gradewatch=200_000, quix=80_000, kafka_streams=100_000, faust_idiomatic=10_000, limit=250_000
)


def test_the_file_has_the_promised_names(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    percentiles = Percentiles(p50=9.123, p99=40.0)
    save(
        path,
        Results(
            grades=GRADES,
            firehose=FIREHOSE,
            latency_ms=Latency(gradewatch=percentiles, quix=percentiles, kafka_streams=percentiles),
            restore_keys_per_s=Restore(gradewatch=200_000, kafka_streams=150_000),
            rss_mib_1m_student_courses=512.25,
            cores=2,
            date="2026-11-22",
        ),
    )
    contenders = {"gradewatch", "quix", "kafka_streams", "faust_idiomatic", "limit"}
    written = orjson.loads(path.read_bytes())
    assert written["grades"].keys() == written["firehose"].keys() == contenders
    assert written["grades"]["gradewatch"] == 60_000
    assert written["latency_ms"].keys() == {"gradewatch", "quix", "kafka_streams"}
    assert written["latency_ms"]["quix"] == {"p50": 9.1, "p99": 40.0}
    assert written["restore_keys_per_s"] == {"gradewatch": 200_000, "kafka_streams": 150_000}
    assert written["rss_mib_1m_student_courses"] == 512.2
    assert (written["cores"], written["date"]) == (2, "2026-11-22")
    assert len(written) == 7


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    results = Results(grades=GRADES).stamped()
    save(tmp_path / "results.json", results)
    kept = load(tmp_path / "results.json")
    assert kept.grades.quix == 20_000
    assert kept.cores == results.cores


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert load(tmp_path / "results.json") == Results()


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"grades": {"ksqldb": 1.0}}')
    with pytest.raises(ValidationError, match="ksqldb"):
        load(tmp_path / "results.json")


def test_a_part_measured_anew_leaves_the_others_as_they_were() -> None:
    kept = Results(grades=GRADES, rss_mib_1m_student_courses=500.0, date="2026-01-01")
    newer = Results(firehose=FIREHOSE, grades=Throughput(quix=25_000), date="2026-02-02")
    merged = kept.merged(newer)
    assert merged.firehose == FIREHOSE
    assert merged.grades == GRADES.model_copy(update={"quix": 25_000.0})
    assert (merged.rss_mib_1m_student_courses, merged.date) == (500.0, "2026-02-02")


def test_ratios_are_multiples_of_each_other_contender() -> None:
    assert ratios(Throughput(gradewatch=60.0, quix=20.0, limit=120.0)) == {"quix": 3.0, "limit": 0.5}
    assert ratios(Throughput(quix=20.0)) == {}
    assert fastest_peer(GRADES) == 30_000
    assert fastest_peer(Throughput(limit=5.0)) is None


def test_only_what_changed_much_has_moved() -> None:
    now = Results(
        grades=GRADES.model_copy(update={"quix": 40_000.0, "limit": 160_000.0}),
        firehose=Throughput(gradewatch=200_000),
    )
    found = {(move.topic, move.other): move for move in moves(Results(grades=GRADES, firehose=FIREHOSE), now)}
    assert {topic for topic, _ in found} == {"grades"}
    assert found["grades", "quix"].percent == pytest.approx(-50)
    assert found["grades", "quix"].moved
    assert not found["grades", "limit"].moved
    assert not found["grades", "faust_idiomatic"].moved
