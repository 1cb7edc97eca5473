"""`gradewatch generate` as a user meets it: files, pipes, topics, summaries and mistakes."""

import asyncio
import gzip
import json
from collections import defaultdict
from pathlib import Path

import orjson
import pytest
from aiokafka import ConsumerRecord
from click.testing import CliRunner, Result

from app.embedded import EmbeddedBroker
from app.main import main
from app.semester import Options, Semester
from models.grades import Rejected, read
from models.records import GradeRecordBase
from tests.clients import consume, create_topic

FEW = ("--events", "300", "--seed", "9")


def generate(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=env)


def test_a_file_has_one_event_per_line(tmp_path: Path) -> None:
    out = tmp_path / "semester.jsonl"

    result = generate(*FEW, "--out", out)

    assert result.exit_code == 0, result.output
    lines = out.read_bytes().splitlines()
    assert lines == [event.value for event in Semester(Options(seed=9, events=300)).events()]
    assert "300 events" in result.stdout
    assert str(out) in result.stdout


def test_stdout_has_the_events_and_nothing_else() -> None:
    result = generate(*FEW, "--out", "-", "--json")

    lines = result.stdout_bytes.splitlines()
    assert len(lines) == 300
    assert all("event_name" in orjson.loads(line)["metadata"] for line in lines)
    assert json.loads(result.stderr)["events"] == 300


def test_a_compressed_file_is_the_same_bytes_each_time_and_the_same_lines(tmp_path: Path) -> None:
    plain, first, second = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"))

    for path in (plain, first, second):
        assert generate(*FEW, "--out", path).exit_code == 0

    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == plain.read_bytes()


def test_the_summary_counts_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "semester.jsonl"

    result = generate(*FEW, "--out", out, "--poison", "0.1", "--duplicates", "0.1", "--json")

    summary = json.loads(result.stdout)
    assert summary["events"] == 300 == sum(summary["events_by_kind"].values())
    assert summary["events_by_kind"]["poison"] == sum(summary["poison_by_reason"].values()) > 10
    assert summary["repeats"] > 10
    assert summary["destination"] == str(out)
    assert summary["value_bytes"] == out.stat().st_size - 300


def test_poison_stays_on_its_line(tmp_path: Path) -> None:
    out = tmp_path / "semester.jsonl"

    summary = json.loads(generate(*FEW, "--out", out, "--poison", "0.3", "--json").stdout)

    lines = out.read_bytes().split(b"\n")[:-1]
    now_ms = Options().until_ms
    assert len(lines) == 300
    assert lines.count(b"") == summary["poison_by_reason"]["empty"]
    rejected = sum(isinstance(read(line, now_ms), Rejected) for line in lines)
    assert rejected == summary["events_by_kind"]["poison"]


def test_labels_say_who_declines_and_since_when(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"

    result = generate("--students", "40", "--weeks", "4", "--out", tmp_path / "events", "--labels", labels)

    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in labels.read_text().splitlines()]
    semester = Semester(Options(students=40, weeks=4))
    assert written
    assert written == [
        {
            "root_account_uuid": semester.school.root_account_uuid,
            "user_id": label.user_id,
            "course_id": label.course_id,
            "decline_from": label.decline_from.isoformat(),
        }
        for label in semester.labels()
    ]


def test_a_semester_ends_where_it_is_told_to(tmp_path: Path) -> None:
    arguments = ("--students", "10", "--weeks", "2", "--out", tmp_path / "events", "--json")

    summary = json.loads(generate(*arguments, "--until", "2024-06-01T12:00:00+02:00").stdout)

    assert summary["last_event_time"] < "2024-06-01T10:00:00.000Z"
    assert summary["first_event_time"] >= "2024-05-18T10:00:00.000Z"
    assert summary["last_event_time"] > "2024-05-31"


def test_a_rate_is_kept(tmp_path: Path) -> None:
    arguments = ("--events", "100", "--rate", "200", "--out", tmp_path / "events", "--json")

    assert json.loads(generate(*arguments).stdout)["seconds"] >= 0.45


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--weeks", "0"), "--weeks"),
        (("--until", "tomorrow"), "neither a day"),
        (("--poison", "0.5", "--duplicates", "0.5"), "together at most 0.9"),
        (("--out", "x", "--topic", "y"), "exclude each other"),
        (("--until", "0001-05-01"), "before 1900"),
        (("--rate", "nan"), "nan is not a finite number"),
        (("--rate", "inf"), "inf is not a finite number"),
        (("--rate", "1e-300"), "--rate"),
        (("--out", "x", "--labels", "missing/labels"), "there is no folder missing"),
        (("--out", "x", "--labels", "./x"), "--out and --labels name the same file"),
        (("--out", "x", "--partition-by", "student"), "goes with a topic"),
    ],
)
def test_wrong_use_is_said_and_exits_with_2(arguments: tuple[str, ...], sentence: str) -> None:
    result = generate(*arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_file_that_cannot_be_written_exits_with_1(tmp_path: Path) -> None:
    result = generate(*FEW, "--out", tmp_path / "missing" / "events")

    assert result.exit_code == 1
    assert result.stderr == f"Error: Cannot write {tmp_path}/missing/events: No such file or directory.\n"


# To a topic


def sent(broker: EmbeddedBroker, *arguments: str) -> list[ConsumerRecord]:
    asyncio.run(create_topic(broker.bootstrap, "raw", 4, {"max.message.bytes": "8388608"}))
    result = generate(
        *("--events", "1500", "--seed", "9", "--topic", "raw"),
        *arguments,
        env={"GRADEWATCH_BROKERS": broker.bootstrap},
    )
    assert result.exit_code == 0, result.output
    return asyncio.run(consume(broker.bootstrap, "raw"))


def test_a_topic_gets_the_same_events_without_keys(embedded_broker: EmbeddedBroker) -> None:
    records = sent(embedded_broker, "--poison", "0.05")

    events = list(Semester(Options(seed=9, events=1500, poison=0.05)).events())
    assert sorted(str(record.value) for record in records) == sorted(str(event.value) for event in events)
    assert {record.key for record in records} == {None}
    assert {record.partition for record in records} == {0, 1, 2, 3}
    assert all(record.timestamp > Options().until_ms for record in records)


def test_random_placing_scatters_students_and_placing_by_student_does_not(
    embedded_broker: EmbeddedBroker,
) -> None:
    records = sent(embedded_broker, "--partition-by", "student")

    partitions = defaultdict(set)
    times: dict[bytes, list[str]] = defaultdict(list)
    for raw in records:
        record = read(raw.value)
        if isinstance(record, GradeRecordBase):
            partitions[record.key].add(raw.partition)
            times[record.key].append(record.event_time)
    assert len(partitions) > 10
    assert {len(found) for found in partitions.values()} == {1}
    assert len(set.union(*partitions.values())) > 1
    assert all(found == sorted(found) for found in times.values())


def test_a_missing_topic_is_said_and_not_created(embedded_broker: EmbeddedBroker) -> None:
    env = {"GRADEWATCH_BROKERS": embedded_broker.bootstrap, "GRADEWATCH_TOPIC_PREFIX": "other."}

    for _ in range(2):
        result = generate(*FEW, env=env)
        assert result.exit_code == 1
        assert "Topic other.raw-events does not exist." in result.stderr


def test_a_broker_that_does_not_answer_is_said() -> None:
    env = {"GRADEWATCH_BROKERS": "127.0.0.1:1", "GRADEWATCH_BROKER_TIMEOUT_SECONDS": "0.5"}

    result = generate(*FEW, env=env)

    assert result.exit_code == 1
    assert "No broker answered at 127.0.0.1:1" in result.stderr


def test_a_semester_of_the_future_is_warned_of(embedded_broker: EmbeddedBroker) -> None:
    env = {"GRADEWATCH_BROKERS": embedded_broker.bootstrap}

    result = generate(*FEW, "--until", "2999-01-01", env=env)

    assert "ends in the future" in result.stderr
