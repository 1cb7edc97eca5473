"""`alerts tail` and `scores show` against topics as a worker fills them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from app.embedded import EmbeddedBroker
from app.main import main
from app.settings import Settings
from app.topics import create_topics
from models.alerts import Alert, encode_alert
from models.records import GradeRecord
from tables.cases import NO_HOLDS
from tables.rules import DEFAULT_RULES, evaluate
from tables.scores import EMPTY, fold
from tables.state import StudentState, encode_state
from tests.tables.histories import deleted, graded, scored, time_at

CHECKOUT = Path(__file__).parents[2]
STUDENT = "school:2"

HISTORY: tuple[GradeRecord, ...] = (
    scored(0, 90.0, final_score=60.0, unposted_current_score=91.0, unposted_final_score=61.0),
    graded(1, "11", 8.0),
    graded(2, "12", 3.0, muted=True),
    scored(3, 68.0, final_score=55.0, unposted_current_score=33.0, unposted_final_score=30.0),
    scored(3, 88.0, course_id="10"),
    deleted(4, course_id="5"),
)


def worked_on(history: Sequence[GradeRecord]) -> tuple[StudentState, list[Alert]]:
    scores, holds, alerts = EMPTY, NO_HOLDS, []
    for record in history:
        before, scores = scores, fold(scores, record)
        holds, drafts = evaluate(holds, before, scores, record, DEFAULT_RULES)
        alerts += [draft.alert(detected_at=time_at(9)) for draft in drafts]
    return StudentState(scores, holds), alerts


STATE, ALERTS = worked_on(HISTORY)


@dataclass
class World:
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        return {"GRADEWATCH_BROKERS": self.settings.brokers, "GRADEWATCH_PARTITIONS": "4"}

    def gradewatch(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env=self.environment)

    def create_topics(self) -> None:
        asyncio.run(create_topics(self.settings, 10))

    def write(self, topic: str, *messages: tuple[str, bytes | None]) -> None:
        """Write messages by key, to the partitions that a worker would choose."""

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.settings.brokers) as producer:
                for key, value in messages:
                    await producer.send_and_wait(topic, value, key.encode())

        asyncio.run(send())


@pytest.fixture
def world(embedded_broker: EmbeddedBroker) -> World:
    world = World(Settings(brokers=embedded_broker.bootstrap, partitions=4))
    world.create_topics()
    return world


def test_the_history_has_alerts_to_show() -> None:
    assert [alert.rule for alert in ALERTS] == ["score_drop", "threshold_crossed"]


def test_alerts_are_printed_one_a_line_and_plain_in_a_pipe(world: World) -> None:
    world.write("grade-alerts", *((STUDENT, encode_alert(alert)) for alert in ALERTS))
    result = world.gradewatch("alerts", "tail", "--from-beginning", "--limit", "2")
    assert result.exit_code == 0
    heading, first, second = result.stdout.splitlines()
    assert heading.split() == ["Time", "(UTC)", "Severity", "Status", "Rule", "Student", "Message"]
    assert first.split()[:6] == ["2026-09-04", "00:00:00", "critical", "opened", "score_drop", "2"]
    assert first.endswith(f"Course 1: {ALERTS[0].message}")
    assert "threshold_crossed" in second
    assert "\x1b" not in result.stdout


def test_alerts_as_json_are_the_alerts(world: World) -> None:
    world.write("grade-alerts", *((STUDENT, encode_alert(alert)) for alert in ALERTS))
    result = world.gradewatch("alerts", "tail", "--from-beginning", "--limit", "2", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        alert.model_dump(mode="json") for alert in ALERTS
    ]


def test_staff_alerts_are_shown_on_request(world: World) -> None:
    hidden = ALERTS[0].model_copy(update={"rule": "hidden_score_drop", "audience": "staff"})
    world.write("grade-alerts-staff", (STUDENT, encode_alert(hidden)))
    result = world.gradewatch("alerts", "tail", "--staff", "--from-beginning", "--limit", "1", "--json")
    assert json.loads(result.stdout)["audience"] == "staff"


def test_what_is_no_alert_is_logged_without_its_content_and_passed_over(world: World) -> None:
    world.write("grade-alerts", (STUDENT, b'{"user_id": "secret"}'), (STUDENT, encode_alert(ALERTS[0])))
    result = world.gradewatch("alerts", "tail", "--from-beginning", "--limit", "1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["alert_id"] == ALERTS[0].alert_id
    assert "alert.unreadable" in result.stderr
    assert "secret" not in result.output


def test_ctrl_c_ends_the_tail_with_0(world: World) -> None:
    world.write("grade-alerts", (STUDENT, encode_alert(ALERTS[0])))
    with subprocess.Popen(
        [sys.executable, "-m", "app.main", "alerts", "tail", "--from-beginning", "--json"],
        cwd=CHECKOUT,
        env={**os.environ, **world.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert json.loads(tail.stdout.readline())["alert_id"] == ALERTS[0].alert_id
        tail.send_signal(signal.SIGINT)
        assert (tail.wait(timeout=20), tail.stderr.read()) == (0, "")


def test_without_topics_the_tail_says_so_and_creates_none(embedded_broker: EmbeddedBroker) -> None:
    world = World(Settings(brokers=embedded_broker.bootstrap, partitions=4))
    for _ in range(2):
        result = world.gradewatch("alerts", "tail")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: Topic grade-alerts does not exist." in result.stderr


CHANGELOG = "gradewatch-student_scores-changelog"


@pytest.fixture
def known(world: World) -> World:
    """Give a changelog with an older row of the student and rows of others around it."""
    others = [(f"school:{number}", encode_state(StudentState())) for number in range(100, 140)]
    old, _ = worked_on(HISTORY[:1])
    world.write(CHANGELOG, (STUDENT, encode_state(old)), *others, (STUDENT, encode_state(STATE)), *others)
    return world


def test_scores_are_the_newest_snapshot_of_each_course(known: World) -> None:
    result = known.gradewatch("scores", "show", STUDENT, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["root_account_uuid"], document["user_id"]) == ("school", "2")
    assert list(document["courses"]) == ["1", "10"]
    shown = document["courses"]["1"]["snapshot"]
    assert (shown["current_score"], shown["final_score"]) == (68.0, 55.0)
    assert shown["alerts_open"] == ["score_drop", "threshold_crossed"]
    assert shown["assignments"]["graded"] == 1


def test_hidden_values_are_for_staff(known: World) -> None:
    for arguments in (["--json"], []):
        open_to_all = known.gradewatch("scores", "show", STUDENT, *arguments)
        assert "33.0" not in open_to_all.stdout
        assert '"12"' not in open_to_all.stdout
        assert "nposted" not in open_to_all.stdout
    document = json.loads(known.gradewatch("scores", "show", STUDENT, "--staff", "--json").stdout)
    hidden = document["courses"]["1"]["staff"]
    assert (hidden["unposted_current_score"], hidden["unposted_final_score"]) == (33.0, 30.0)
    assert [(kept["submission_id"], kept["score"]) for kept in hidden["muted_submissions"]] == [("12", 3.0)]
    assert document["courses"]["5"] == {
        "snapshot": None,
        "staff": {
            "closed": True,
            "unposted_current_score": None,
            "unposted_final_score": None,
            "muted_submissions": [],
            "alerts_open": [],
        },
    }


def test_scores_are_shown_as_a_table_for_each_course(known: World) -> None:
    result = known.gradewatch("scores", "show", STUDENT, "--staff")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines()]
    assert ["Student 2 of school"] in rows
    assert [row for row in rows if row[0].startswith("Course")] == [["Course 1"], ["Course 5"], ["Course 10"]]
    for row in (
        ["Current score", "68.00"],
        ["Change", "-22.00"],
        ["Alerts open", "score_drop, threshold_crossed"],
        ["Unposted current score", "33.00"],
        ["Muted submissions", "12: 3.00 of 10.00"],
        ["For staff: closed", "yes"],
    ):
        assert row in rows


def test_an_unknown_student_is_told_apart_from_a_failure(known: World) -> None:
    result = known.gradewatch("scores", "show", "school:77")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Nothing is known about school:77: no record of this student")


def test_a_tombstone_means_nothing_is_known(known: World) -> None:
    known.write(CHANGELOG, (STUDENT, None))
    assert known.gradewatch("scores", "show", STUDENT).exit_code == 1


def test_a_state_of_a_newer_release_is_refused_with_a_sentence(known: World) -> None:
    known.write(CHANGELOG, (STUDENT, b"\xff" + encode_state(STATE)[1:]))
    result = known.gradewatch("scores", "show", STUDENT)
    assert result.exit_code == 1
    assert "a newer release wrote it" in result.stderr
