from __future__ import annotations

import io
import json
import logging
from typing import Literal

import pytest

from app import logs


def lines_of(log_format: Literal["console", "json"], log_level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(log_format, log_level, stream)
    return stream


def test_json_is_one_object_a_line_with_a_name_fields_and_utc() -> None:
    stream = lines_of("json")
    logs.logger().info("worker.ready", partitions=8)
    logs.logger().warning("broker.unreachable", brokers="a:1")
    ready, unreachable = map(json.loads, stream.getvalue().splitlines())
    assert ready.pop("timestamp").endswith("Z")
    assert ready == {"event": "worker.ready", "level": "info", "partitions": 8}
    assert (unreachable["event"], unreachable["level"]) == ("broker.unreachable", "warning")


def test_libraries_go_the_same_way_from_warning_on() -> None:
    stream = lines_of("json")
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("mode.worker").warning("lost %s", "heartbeat")
    (line,) = stream.getvalue().splitlines()
    assert (
        json.loads(line).items()
        >= {
            "event": "lost heartbeat",
            "level": "warning",
            "logger": "mode.worker",
        }.items()
    )


def test_debug_shows_libraries_at_info_but_never_their_requests() -> None:
    stream = lines_of("json", "debug")
    logging.getLogger("aiokafka.conn").debug("request with a record's bytes")
    logging.getLogger("aiokafka.conn").info("connected")
    logs.logger().debug("chunk.done")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "connected",
        "chunk.done",
    ]


def test_the_level_is_the_least_that_is_logged() -> None:
    stream = lines_of("json", "warning")
    logs.logger().info("worker.ready")
    assert stream.getvalue() == ""


def test_console_is_plain_when_it_is_no_terminal() -> None:
    stream = lines_of("console")
    logs.logger().info("worker.ready", partitions=8)
    assert "\x1b" not in stream.getvalue()
    assert "worker.ready" in stream.getvalue()
    assert "partitions=8" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(log_format: Literal["console", "json"]) -> None:
    stream = lines_of(log_format)

    def fail() -> None:
        grade = "ninety" + "-nine"
        raise RuntimeError("broken" if grade else "")

    try:
        fail()
    except RuntimeError:
        logs.logger().exception("worker.failed")
    assert "RuntimeError: broken" in stream.getvalue()
    assert "ninety-nine" not in stream.getvalue()


def test_what_a_library_says_can_be_held_back_and_used() -> None:
    stream = lines_of("json")
    library = logging.getLogger("aiokafka")
    with logs.held_back("aiokafka") as said:
        library.error("refused: %s", "port 1")
    library.error("again")
    assert [record.getMessage() for record in said] == ["refused: port 1"]
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["again"]


def test_configuring_twice_prints_once() -> None:
    lines_of("json")
    stream = lines_of("json")
    logs.logger().info("worker.ready")
    assert len(stream.getvalue().splitlines()) == 1


def test_what_repeats_is_said_once_in_a_while_with_a_count() -> None:
    now = [0.0]
    repetition = logs.Repetition(every_seconds=10.0, clock=lambda: now[0])

    def record(message: object) -> logging.LogRecord:
        return logging.LogRecord("aiokafka", logging.ERROR, "", 0, message, (), None)

    assert repetition.filter(record("connection refused"))
    assert not repetition.filter(record("connection refused"))
    assert not repetition.filter(record("connection refused"))
    assert repetition.filter(record("something else"))
    now[0] = 11.0
    again = record("connection refused")
    assert repetition.filter(again)
    assert again.__dict__["repeated"] == 2


def test_our_own_repeated_events_get_the_count_as_a_field() -> None:
    now = [0.0]
    repetition = logs.Repetition(every_seconds=10.0, clock=lambda: now[0])
    for _ in range(3):
        repetition.filter(ours({"event": "x", "seconds": now[0]}))
        now[0] += 1.0
    assert repetition.filter(ours({"event": "x", "reason": "another"}))
    now[0] = 11.0
    again = ours({"event": "x", "seconds": 11.0})
    assert repetition.filter(again)
    assert again.msg == {"event": "x", "seconds": 11.0, "repeated": 2}


def test_what_is_no_warning_always_goes_through() -> None:
    repetition = logs.Repetition()
    assert all(repetition.filter(ours({"event": "worker.ready"}, logging.INFO)) for _ in range(3))


def ours(fields: dict[str, object], level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("gradewatch", level, "", 0, fields, (), None)
