"""`dead-letters list|show|replay` against topics as a worker fills them; with a worker: tests/e2e."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from click.testing import CliRunner, Result

from app.embedded import EmbeddedBroker
from app.main import main
from app.settings import Settings
from app.topics import create_topics
from models.grades import Reason, Rejected
from models.headers import dead_letter_headers
from models.times import time_from_epoch_ms
from tests.clients import admin_client, consume

Headers = Sequence[tuple[str, bytes | None]]

HOSTILE = b'{"name": "Ada", "x": "\x1b[2J\xff"}\nsecond line'
OWN_HEADERS: list[tuple[str, bytes | None]] = [
    ("bridge", b"sqs"),
    ("bridge", b"\xfe"),
    ("none", None),
    ("gradewatch.reason", b"of another"),
]


def failed(
    reason: Reason,
    offset: int,
    *,
    partition: int = 2,
    topic: str = "raw-events",
    detail: str = "body.user_id",
    own: Headers = (),
    whole_bytes: int | None = None,
) -> list[tuple[str, bytes | None]]:
    return dead_letter_headers(
        own,
        Rejected(reason, detail),
        version="1.2.3",
        failed_at="2026-11-22T10:15:30.123Z",
        topic=topic,
        partition=partition,
        offset=offset,
        whole_bytes=whole_bytes,
    )


@dataclass
class World:
    settings: Settings

    def gradewatch(self, *arguments: str, typed: str | None = None) -> Result:
        environment = {"GRADEWATCH_BROKERS": self.settings.brokers, "GRADEWATCH_PARTITIONS": "3"}
        return CliRunner().invoke(main, ["dead-letters", *arguments], env=environment, input=typed)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.gradewatch("list", "--json", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def write(
        self,
        partition: int,
        timestamp_ms: int,
        headers: Headers,
        value: bytes | None = b"{",
        key: bytes | None = None,
    ) -> None:
        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.settings.brokers) as producer:
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=timestamp_ms, headers=list(headers))
                await (await producer.send_batch(batch, "dead-letters", partition=partition))

        asyncio.run(send())

    def raw(self) -> list[ConsumerRecord]:
        return asyncio.run(consume(self.settings.brokers, "raw-events"))


DAY_MS = 86_400_000
BEGIN_MS = (time.time_ns() // 1_000_000 // DAY_MS - 3) * DAY_MS  # retention leaves it alone
DAY = time_from_epoch_ms(BEGIN_MS)[:10]
NEXT_DAY = time_from_epoch_ms(BEGIN_MS + DAY_MS)[:10]


@pytest.fixture
def world(embedded_broker: EmbeddedBroker) -> World:
    world = World(Settings(brokers=embedded_broker.bootstrap, partitions=3))
    asyncio.run(create_topics(world.settings, 10))
    return world


@pytest.fixture
def filled(world: World) -> World:
    """Give six dead letters over three partitions, in the order of time 0:0, 2:0, 1:0, 0:1, 2:1, 2:2."""
    invalid, empty, future = Reason.INVALID_JSON, Reason.EMPTY, Reason.FUTURE_EVENT
    world.write(0, BEGIN_MS, failed(invalid, 10, own=OWN_HEADERS), HOSTILE, b"k\xff")
    world.write(2, BEGIN_MS + 1000, failed(empty, 11), None)
    world.write(1, BEGIN_MS + 2000, failed(future, 12, partition=0), b"{later}", b"")
    world.write(0, BEGIN_MS + DAY_MS, failed(invalid, 13, whole_bytes=9_000_000), b"x" * 99)
    world.write(2, BEGIN_MS + DAY_MS + 1, failed(invalid, 3, topic="grade-records"), b"?")
    world.write(2, BEGIN_MS + DAY_MS + 2, failed(empty, 14, partition=7), b"")
    return world


ALL = ["0:0", "2:0", "1:0", "0:1", "2:1", "2:2"]


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        ([], ALL),
        (["--limit", "2"], ALL[-2:]),
        (["--limit", "9" * 30], ALL),
        (["--reason", "empty"], ["2:0", "2:2"]),
        (["--reason", "empty", "--reason", "future_event"], ["2:0", "1:0", "2:2"]),
        (["--since", NEXT_DAY], ALL[3:]),
        (["--since", "0001-01-01"], ALL),
        (["--until", NEXT_DAY], ALL[:3]),
        (["--since", f"{DAY}T00:00:01+00:00", "--until", f"{DAY}T00:00:02"], ["2:0"]),
        (["--since", "2030-01-01"], []),
        (["--raw-topic", "grade-records"], ["2:1"]),
        (["--raw-partition", "0"], ["1:0"]),
        (["--raw-topic", "raw-events", "--raw-partition", "2"], ["0:0", "2:0", "0:1"]),
        (["--raw-offsets", "11-13"], ["2:0", "1:0", "0:1"]),
        (["--raw-offsets", "13-"], ["0:1", "2:2"]),
        (["--raw-offsets=-10"], ["0:0", "2:1"]),
        (["--raw-offsets", "12"], ["1:0"]),
    ],
)
def test_dead_letters_are_found_by_what_they_are(
    filled: World, arguments: list[str], positions: list[str]
) -> None:
    assert [letter["position"] for letter in filled.listed(*arguments)] == positions


def test_the_list_says_where_when_and_why_and_nothing_of_the_message(filled: World) -> None:
    assert filled.listed()[3] == {
        "position": "0:1",
        "partition": 0,
        "offset": 1,
        "written_at": f"{NEXT_DAY}T00:00:00.000Z",
        "reason": "invalid_json",
        "detail": "body.user_id",
        "version": "1.2.3",
        "failed_at": "2026-11-22T10:15:30.123Z",
        "raw_topic": "raw-events",
        "raw_partition": 2,
        "raw_offset": 13,
        "value_bytes": 99,
        "whole_bytes": 9_000_000,
    }
    result = filled.gradewatch("list", "--limit", "5")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines()]
    assert ["2:0", f"{DAY} 00:00:01", "empty", "body.user_id", "raw-events 2:11", "no value"] in rows
    assert next(row[:5] for row in rows if row[0] == "0:1") == [
        "0:1",
        f"{NEXT_DAY} 00:00:00",
        "invalid_json",
        "body.user_id",
        "raw-events 2:13",
    ]
    assert rows[-1] == [
        "6 dead letters: 3 invalid_json, 2 empty, 1 future_event. The newest 5 are shown; --limit shows more."
    ]
    assert "Ada" not in result.output
    assert "\x1b" not in result.output


def test_nothing_to_list(world: World) -> None:
    result = world.gradewatch("list")
    assert (result.exit_code, result.stdout) == (0, "No dead letters.\n")


def test_what_is_no_dead_letter_is_logged_without_its_content_and_passed_over(filled: World) -> None:
    filled.write(1, BEGIN_MS, [("x", b"y")], b"secret")
    result = filled.gradewatch("list", "--json")
    assert len(result.stdout.splitlines()) == len(ALL)
    assert "dead_letter.unreadable" in result.stderr
    assert "secret" not in result.output
    alone = filled.gradewatch("show", "1:1")
    assert alone.exit_code == 1
    assert "What lies at 1:1 of dead-letters is no dead letter" in alone.stderr


# -- show --------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_shown_without_key_and_value(filled: World) -> None:
    result = filled.gradewatch("show", "0:0")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"Dead letter 0:0, written {DAY}T00:00:00.000Z",
        "Reason:    invalid_json",
        "Detail:    body.user_id",
        "Came from: raw-events 2:10",
        "Read by:   Gradewatch 1.2.3, 2026-11-22T10:15:30.123Z",
        f"Bytes:     {len(HOSTILE)}",
        "Headers:",
        "  bridge: sqs",
        r"  bridge: \xfe",
        "  none: (none)",
        "  gradewatch.reason: of another",
        "Key and value are not printed, because they may name people; --value prints them.",
    ]
    assert {"key", "value"}.isdisjoint(json.loads(filled.gradewatch("show", "0:0", "--json").stdout))


def test_the_value_is_shown_on_request_and_steers_no_terminal(filled: World) -> None:
    result = filled.gradewatch("show", "0:0", "--value")
    assert result.stdout.splitlines()[-4:] == [
        r"Key:       k\xff",
        "Value:",
        r'{"name": "Ada", "x": "\x1b[2J\xff"}',
        "second line",
    ]
    shown = json.loads(filled.gradewatch("show", "0:0", "--value", "--json").stdout)
    assert base64.b64decode(shown["value"]["base64"]) == HOSTILE
    assert base64.b64decode(shown["key"]["base64"]) == b"k\xff"
    assert shown["headers"][0] == {"name": "bridge", "value": {"text": "sqs"}}
    assert shown["headers"][2] == {"name": "none", "value": None}


def test_a_tombstone_is_shown_as_one(filled: World) -> None:
    assert filled.gradewatch("show", "2:0", "--value").stdout.splitlines()[-4:] == [
        "Headers:   none",
        "Key:       (none)",
        "Value:",
        "(none)",
    ]


def test_the_value_can_be_written_to_a_file_byte_for_byte(filled: World, tmp_path: Path) -> None:
    file = tmp_path / "value"
    assert filled.gradewatch("show", "0:0", "--out", str(file)).exit_code == 0
    assert file.read_bytes() == HOSTILE
    assert filled.gradewatch("show", "0:0", "--out", "-").stdout_bytes == HOSTILE


@pytest.mark.parametrize(
    ("position", "code", "sentence"),
    [
        ("0:2", 1, "There is no dead letter at 0:2: partition 0 of dead-letters has the offsets 0 to 1 now."),
        ("3:0", 1, "dead-letters has no partition 3; it has 0 to 2."),
        ("3", 2, "'3' is not PARTITION:OFFSET, such as 3:17"),
        ("0:-1", 2, "'0:-1' is not PARTITION:OFFSET, such as 3:17"),
    ],
)
def test_where_nothing_lies_is_said(filled: World, position: str, code: int, sentence: str) -> None:
    result = filled.gradewatch("show", position)
    assert result.exit_code == code
    assert sentence in result.stderr


def test_an_empty_partition_is_said(world: World) -> None:
    result = world.gradewatch("show", "0:0")
    assert "partition 0 of dead-letters has nothing in it now." in result.stderr


# -- replay ------------------------------------------------------------------------------------------------


def test_a_replay_sends_messages_as_they_came_to_where_they_came_from(filled: World) -> None:
    result = filled.gradewatch("replay", "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "dry_run": False,
        "from": "dead-letters",
        "to": "raw-events",
        "replayed": 4,
        "replayed_by_reason": {"invalid_json": 1, "empty": 2, "future_event": 1},
        "skipped": {"truncated": 1, "derived": 1},
    }
    sent = filled.raw()
    assert sorted((m.key, m.value, tuple(m.headers)) for m in sent if m.key) == [
        (b"k\xff", HOSTILE, tuple(OWN_HEADERS))
    ]
    assert sorted((m.partition, m.value or b"", m.value is None) for m in sent if m.partition == 2) >= [
        (2, b"", True),
        (2, HOSTILE, False),
    ]
    assert [(m.key, m.value) for m in sent if m.partition == 0 and m.key is not None] == [(b"", b"{later}")]
    assert len(sent) == 4
    assert all(message.timestamp > BEGIN_MS + 2 * DAY_MS for message in sent)


def test_what_is_left_out_is_said(filled: World) -> None:
    result = filled.gradewatch("replay", "--yes")
    assert result.stdout.splitlines() == [
        "Replayed: 4 to raw-events (2 empty, 1 invalid_json, 1 future_event).",
        "Left out: 1, because only their beginning was kept (gradewatch.truncated), so they could never be "
        "read.",
        "Left out: 1, because they came from a topic that only workers write to, not from the raw one.",
    ]


def test_a_dry_run_tells_and_writes_nothing(filled: World) -> None:
    result = filled.gradewatch("replay", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith("Would be replayed: 4 to raw-events (")
    assert filled.raw() == []


@pytest.mark.parametrize(
    ("arguments", "replayed"),
    [
        (["--reason", "empty"], 2),
        (["--reason", "empty", "--limit", "1"], 1),
        (["0:0", "2:0", "2:1"], 2),
        (["--raw-offsets", "10-11"], 2),
        (["--until", NEXT_DAY], 3),
        (["--reason", "too_large"], 0),
    ],
)
def test_some_are_replayed(filled: World, arguments: list[str], replayed: int) -> None:
    result = filled.gradewatch("replay", "--yes", *arguments)
    assert result.exit_code == 0
    assert f"Replayed: {replayed} to raw-events" in result.stdout
    assert len(filled.raw()) == replayed


def test_what_is_not_there_is_not_replayed_in_silence(filled: World) -> None:
    result = filled.gradewatch("replay", "--yes", "0:0", "0:2")
    assert result.exit_code == 1
    assert "There is no dead letter at 0:2" in result.stderr
    assert filled.raw() == []


def test_a_replay_asks_first(filled: World) -> None:
    refused = filled.gradewatch("replay", typed="n\n")
    assert refused.exit_code == 1
    assert "To be replayed: 4 to raw-events" in refused.stderr
    assert filled.gradewatch("replay").exit_code == 1  # nobody there to answer
    assert filled.raw() == []
    assert filled.gradewatch("replay", typed="y\n").exit_code == 0
    assert len(filled.raw()) == 4


def test_the_same_message_is_sent_once_in_a_replay(world: World) -> None:
    for offset, own in enumerate([OWN_HEADERS, OWN_HEADERS, []]):
        world.write(0, BEGIN_MS + offset, failed(Reason.INVALID_JSON, offset, own=own), b"{", b"k")
    result = world.gradewatch("replay", "--yes", "--json")
    assert json.loads(result.stdout)["skipped"] == {"repeated": 1}
    assert len(world.raw()) == 2


def test_without_a_raw_topic_nothing_is_replayed(world: World) -> None:
    asyncio.run(_delete(world.settings.brokers, "raw-events"))
    world.write(0, BEGIN_MS, failed(Reason.INVALID_JSON, 1))
    result = world.gradewatch("replay", "--yes")
    assert result.exit_code == 1
    assert "Topic raw-events does not exist." in result.stderr


async def _delete(brokers: str, topic: str) -> None:
    async with admin_client(brokers) as admin:
        await admin.delete_topics([topic])


@pytest.mark.parametrize("subcommand", [["list"], ["show", "0:0"], ["replay", "--yes"]])
def test_without_the_topic_there_is_a_sentence(
    embedded_broker: EmbeddedBroker, subcommand: list[str]
) -> None:
    result = World(Settings(brokers=embedded_broker.bootstrap)).gradewatch(*subcommand)
    assert result.exit_code == 1
    assert "Error: Topic dead-letters does not exist." in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--reason", "bad"],
        ["list", "--raw-offsets", "9-3"],
        ["list", "--raw-offsets", "-"],
        ["list", "--since", "soon"],
        ["list", "--limit", "0"],
        ["replay", "1"],
        ["show"],
    ],
)
def test_wrong_use_is_said_before_a_broker_is_asked(arguments: list[str]) -> None:
    assert World(Settings(brokers="127.0.0.1:1")).gradewatch(*arguments).exit_code == 2
