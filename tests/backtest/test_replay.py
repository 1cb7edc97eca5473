"""A backtest says what the pure functions say, however its events are read and kept."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.backtest.backtest import Backtest
from app.backtest.lines import InputError, read_lines
from app.backtest.replay import Replay
from app.backtest.tally import week_of
from app.rules import load_rules
from models.grades import Ignored, Rejected, read
from tables.cases import AlertDraft
from tables.rulebook import DEFAULT_RULEBOOK
from tests.backtest.conftest import Recording, backtest, document, pure_alerts

Write = Callable[..., Path]


class Collected:
    """Keeps every alert."""

    def __init__(self) -> None:
        self.alerts: list[AlertDraft] = []

    def take(self, _key: bytes, found: Sequence[tuple[AlertDraft, ...]]) -> None:
        self.alerts += found[0]


def test_alerts_are_those_of_the_pure_functions(
    recording: Recording, write: Write, eager_rules: Path, tmp_path: Path
) -> None:
    file, alerts = write("semester.jsonl", recording), tmp_path / "alerts.jsonl"

    result = backtest(file, "--rules", eager_rules, "--alerts", alerts)

    assert result.exit_code == 0, result.output
    expected = pure_alerts(recording, load_rules(eager_rules))
    written = [orjson.loads(line) for line in alerts.read_bytes().splitlines()]
    assert {"score_drop", "threshold_crossed", "course_wide_drop"} <= {alert.rule for alert in expected}
    assert [alert["alert_id"] for alert in written] == [alert.alert_id for alert in expected]
    assert {name: written[0][name] for name in AlertDraft.__slots__} == {
        name: getattr(expected[0], name) for name in AlertDraft.__slots__
    }


def test_counts_are_those_of_the_pure_functions(recording: Recording, write: Write) -> None:
    found = document(write("semester.jsonl", recording))

    outcomes = [read(value) for value in recording]
    alerts = pure_alerts(recording)
    rejected = Counter(str(each.reason) for each in outcomes if isinstance(each, Rejected))
    records = [each for each in outcomes if not isinstance(each, Rejected | Ignored)]
    assert found["events"] == len(recording)
    assert found["events_by_outcome"] == {
        "record": len(records),
        "ignored": sum(isinstance(each, Ignored) for each in outcomes),
        "rejected": rejected.total(),
    }
    assert found["rejected_by_reason"] == rejected
    assert found["duplicate_records"] > 0 < found["late_records"]
    assert found["students"] == len({record.key for record in records})
    assert found["student_courses"] == len({(r.key, r.course_id) for r in records if r.course_id})
    weeks = {week_of(record.event_time[:10]) for record in records}
    assert found["weeks"] == len(weeks) >= 9  # an event of the future can't be told in a file
    assert found["alerts"] == len(alerts)
    raised = [alert for alert in alerts if alert.status != "resolved"]
    assert found["alerts_raised_per_100_students_and_week"] == 100 * len(raised) / (
        found["students"] * found["weeks"]
    )
    by_rule = Counter((alert.rule, alert.status) for alert in alerts)
    for rule, counts in found["alerts_by_rule"].items():
        assert {status: counts[status] for status in ("opened", "escalated", "resolved")} == {
            status: by_rule[rule, status] for status in ("opened", "escalated", "resolved")
        }
        assert counts["students"] == len({a.user_id for a in raised if a.rule == rule} - {None})
    by_week = Counter((week_of(alert.event_time[:10]), alert.rule) for alert in raised)
    assert by_week == Counter(
        {(week, rule): n for week, of in found["alerts_by_week"].items() for rule, n in of.items() if n}
    )
    noisiest = Counter(alert.course_id for alert in raised if alert.course_id).most_common(1)[0][1]
    assert found["noisiest_courses"][0]["alerts"] == noisiest


def test_files_compressed_split_or_from_a_pipe_say_the_same(
    recording: Recording, write: Write, tmp_path: Path
) -> None:
    whole = write("semester.jsonl", recording)
    packed = tmp_path / "no-telling-name"
    packed.write_bytes(gzip.compress(whole.read_bytes()))
    parts = [
        write(f"{n}.jsonl", recording[n * 3000 : (n + 1) * 3000]) for n in range(-(-len(recording) // 3000))
    ]
    open_ended = tmp_path / "open-ended.jsonl"
    open_ended.write_bytes(whole.read_bytes().rstrip(b"\n"))

    expected = document(whole)

    assert len(parts) > 2
    assert document(packed) == expected
    assert document(*parts) == expected
    assert document("-", stdin=whole.read_bytes()) == expected
    assert document("-", stdin=packed.read_bytes()) == expected
    assert document(parts[0], "-", stdin=b"".join(part.read_bytes() for part in parts[1:])) == expected
    assert document(open_ended) == expected


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_size_of_chunks_and_who_is_kept_awake_make_no_difference(recording: Recording, size: int) -> None:
    one_by_one, at_once = Collected(), Collected()
    replay = Replay([DEFAULT_RULEBOOK], [one_by_one], awake=3)
    for start in range(0, len(recording), size):
        replay.judge(replay.records(recording[start : start + size]))
    whole = Replay([DEFAULT_RULEBOOK], [at_once])
    whole.judge(whole.records(recording))

    assert one_by_one.alerts == at_once.alerts
    assert dict(replay.students.items()) == dict(whole.students.items())
    assert replay.counts == whole.counts


def test_only_those_seen_lately_are_kept_as_objects(recording: Recording) -> None:
    replay = Replay([DEFAULT_RULEBOOK], [], awake=3)
    most = 0
    for value in recording:
        replay.judge(replay.records([value]))
        most = max(most, len(replay.students.awake))

    assert len(replay.students) >= 40
    assert most <= 4


def test_recordings_of_single_partitions_are_merged_by_time(in_order: Recording, write: Write) -> None:
    partitions: list[list[bytes]] = [[], [], []]
    for value in in_order:  # a student's events lie on one partition
        record = read(value)
        place = 0 if isinstance(record, Ignored | Rejected) else int(record.user_id) % 3
        partitions[place].append(value)
    files = [write(f"{n}.jsonl", values) for n, values in enumerate(partitions)]

    merged = document(*files, "--merge")

    assert all(partitions)
    assert merged == document(write("whole.jsonl", in_order))
    assert merged["late_records"] == 0


def test_merging_brings_back_what_scattered_partitions_lose(in_order: Recording, write: Write) -> None:
    files = [write(f"{n}.jsonl", in_order[n::3]) for n in range(3)]

    scattered, merged = document(*files), document(*files, "--merge")

    assert merged["late_records"] < scattered["late_records"] / 20
    assert "--merge" in backtest(*files).stdout
    assert "--merge" not in backtest(*files, "--merge").stdout


def test_a_line_beyond_all_bounds_is_one_unreadable_event(in_order: Recording, write: Write) -> None:
    huge = b"x" * 5_000_000

    found = document(write("huge.jsonl", [*in_order[:10], huge, *in_order[10:20], huge]))

    assert found["events"] == 22
    assert found["rejected_by_reason"] == {"too_large": 2}


def test_of_a_line_beyond_all_bounds_no_more_is_kept_than_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b"a\n" + b"x" * 5_000_000 + b"\nb")

    lines = [line for block in read_lines(str(path), 100) for line in block]

    assert lines == [b"a", b"x" * 101, b"b"]


def test_the_bytes_that_passed_are_those_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "packed.gz"
    path.write_bytes(gzip.compress(b"line\n" * 100_000))
    passed: list[int] = []

    assert sum(len(block) for block in read_lines(str(path), 100, passed.append)) == 100_000
    assert sum(passed) == path.stat().st_size


def test_a_file_that_is_cut_off_fails_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000)[:-20])

    with pytest.raises(InputError, match=r"cut\.gz to its end"):
        list(read_lines(str(path), 100))


def drops(*scores: float | None) -> dict[float, int]:
    """Return the histogram after scores a day apart."""
    test = Backtest()
    test.judge([_scored(day, score) for day, score in enumerate(scores)])
    return {each.least: each.others for each in test.report().depths if each.others}


def _scored(day: float, score: float | None, **fields: Any) -> Any:
    from tests.tables.histories import scored

    return scored(day, score, event_id=f"{round(day * 1000):032x}", **fields)


def test_the_histogram_has_each_course_at_its_deepest_drop() -> None:
    assert drops(90, 88, 79) == {10.0: 1}
    assert drops(90, 79, 85, 84) == {10.0: 1}
    assert drops(90, None, 40) == {40.0: 1}
    assert drops(70, 80, 90) == {}


def test_the_score_in_a_deletion_is_no_drop() -> None:
    test = Backtest()
    test.judge([_scored(0, 90), _scored(1, 85), _scored(2, 40, workflow_state="deleted")])
    assert {each.least: each.others for each in test.report().depths if each.others} == {5.0: 1}


def test_a_drop_is_measured_from_the_peak_of_its_window() -> None:
    assert drops(90, *[85 - n for n in range(10)]) == {10.0: 1}
    assert drops(90, *[None] * 9, 60) == {}


def test_an_empty_recording_is_a_report_of_nothing() -> None:
    result = backtest("-", stdin=b"")

    assert result.exit_code == 0
    assert "nothing to judge" in result.stdout


def test_a_block_may_end_anywhere() -> None:
    from app.backtest import lines

    data = b"".join(b"%d\n" % n for n in range(400_000))

    assert [line for block in lines._split(io.BytesIO(data), 100) for line in block] == data.split()
