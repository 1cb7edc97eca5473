"""Rules from a file: all of them over a semester, courses where many drop at once, another file on SIGHUP."""

import asyncio
import json
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.rules import load_rules
from tables.rules import RULES
from tests.e2e.events import anywhere, by_student, semester
from tests.e2e.harness import GRADEWATCH, RAW_PARTITIONS, Deployment, Raw
from tests.e2e.oracle import Topics, verify

BROKEN = Path(__file__).parents[1] / "fixtures" / "rules" / "broken"

KILLS = 3

EVERY_RULE = """
[hidden_score_drop]
enabled = true
min_drop = 6
rearm = 3
[score_drop]
min_drop = 8
window = "14d"
[submission_score_drop]
min_drop_percent = 1
[course_wide_drop]
min_students = 2
window = "6h"
"""


def scored(student: int, course: int, day: int, minute: int, score: float) -> bytes:
    """Return a course_grade_change at a minute past ten."""
    metadata = {
        "event_name": "course_grade_change",
        "event_time": f"2026-10-{day:02}T10:{minute:02}:00.000Z",
        "root_account_uuid": "school",
        "context_type": "Course",
        "context_id": str(course),
    }
    body = {
        "user_id": str(student),
        "course_id": str(course),
        "workflow_state": "active",
        "current_score": score,
    }
    return json.dumps({"metadata": metadata, "body": body}).encode()


def scattered(values: list[bytes]) -> Iterator[Raw]:
    chance = random.Random(len(values))
    chance.shuffle(values)
    return (Raw(value, chance.randrange(RAW_PARTITIONS)) for value in values)


async def course_wide_alerts(deployment: Deployment) -> list[dict[str, Any]]:
    alerts = [
        json.loads(message.value) for message in await deployment.read(deployment.topology.staff_alerts)
    ]
    return [alert for alert in alerts if alert["rule"] == "course_wide_drop"]


@pytest.mark.parametrize(("most", "size"), [(None, 20_000), (1, 8_000), (7, 8_000)])
async def test_a_semester_with_every_rule_on_comes_out_as_the_pure_functions_say(
    deployment: Deployment, tmp_path: Path, most: int | None, size: int
) -> None:
    """Whatever a chunk has at most of a partition: all of a fetch, one message, or a few."""
    await deployment.create_topics()
    events = semester(21, size)
    rules = tmp_path / "rules.toml"
    account = next(event.student for event in events if event.student is not None).decode().partition(":")[0]
    rules.write_text(EVERY_RULE + f"[accounts.{account}.threshold_crossed]\nthresholds = [80, 65]\n")
    book = load_rules(rules)
    command: tuple[str | Path, ...] = (GRADEWATCH, "worker")
    if most is not None:
        command = (sys.executable, Path(__file__).with_name("in_small_chunks.py"), str(most), "worker")
    worker = await deployment.worker(command=command, rules=str(rules)).until_ready()
    await deployment.produce(anywhere(events, seed=21))
    await deployment.until_done()
    if most is not None:
        figures = {name: value for name, _, value in await worker.samples()}
        # Raw partitions that are read in step may give so many each.
        mean = figures["gradewatch_chunk_records_sum"] / figures["gradewatch_chunk_records_count"]
        assert mean <= most * RAW_PARTITIONS

    topics = await Topics.read(deployment)
    verify(topics, book=book)
    spoke = {json.loads(message.value)["rule"] for message in (*topics.alerts, *topics.staff_alerts)}
    assert spoke == {rule.name for rule in RULES} | {"course_wide_drop"}
    assert {alert["subject"] for alert in alerts_of(topics, "threshold_crossed")} == {"80", "65"}
    assert await worker.terminate() == 0


async def test_what_is_told_of_courses_survives_kills(deployment: Deployment, tmp_path: Path) -> None:
    await deployment.create_topics()
    rules = tmp_path / "rules.toml"
    rules.write_text(EVERY_RULE)
    feeding = asyncio.create_task(
        deployment.feed(list(by_student(semester(22, 12_000), seed=22)), per_second=1_000)
    )
    for _ in range(KILLS):
        worker = await deployment.worker(instance_id="one", rules=str(rules)).until_ready()
        await asyncio.sleep(1.0)
        await worker.kill()
    await feeding
    worker = await deployment.worker(instance_id="one", rules=str(rules)).until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0

    topics = await Topics.read(deployment)
    verify(topics, repeats_allowed=True, students_in_order=True, book=load_rules(rules))
    assert alerts_of(topics, "course_wide_drop")


def alerts_of(topics: Topics, rule: str) -> list[dict[str, Any]]:
    alerts = [json.loads(message.value) for message in (*topics.alerts, *topics.staff_alerts)]
    return [alert for alert in alerts if alert["rule"] == rule]


async def test_many_drops_in_a_course_are_told_of_once(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    # Course 7: 14 students drop within an hour. Course 8: 9 do. Course 9: 14 do, in two different hours.
    peaks = [scored(student, course, 5, 0, 90.0) for course in (7, 8, 9) for student in range(1, 15)]
    await deployment.produce(scattered(peaks))
    await deployment.until_done()
    drops = [scored(student, 7, 6, 4 * student, 78.5) for student in range(1, 15)]
    drops += [scored(student, 8, 6, student, 70.0) for student in range(1, 10)]
    drops += [scored(student, 9, 6 + student % 2, student, 70.0) for student in range(1, 15)]
    await deployment.produce(scattered(drops * 2))
    await deployment.until_done()

    (alert,) = await course_wide_alerts(deployment)
    assert (alert["course_id"], alert["user_id"], alert["event_id"]) == ("7", None, None)
    assert alert["event_time"] == alert["subject"] == "2026-10-06T10:00:00.000Z"
    assert (alert["value"], alert["previous"], alert["reference"]) == (10, None, 10)
    assert (alert["severity"], alert["audience"], alert["status"]) == ("critical", "staff", "opened")
    assert len(await deployment.read(deployment.topology.course_drops)) == 14 + 9 + 14
    samples = await worker.samples()
    counted = {"rule": "course_wide_drop", "status": "opened", "severity": "critical"}
    assert ("gradewatch_alerts_total", counted, 1.0) in samples
    assert any(
        name == "gradewatch_chunk_seconds_count" and labels == {"agent": "courses"} and value > 0
        for name, labels, value in samples
    )
    assert await worker.terminate() == 0

    # Another worker, with nothing but the changelog, knows what was told of and who is missing where.
    worker = await deployment.worker("other").until_ready()
    await deployment.produce(scattered([scored(99, course, 5, 1, 90.0) for course in (7, 8)]))
    await deployment.until_done()
    await deployment.produce(scattered([scored(99, course, 6, 59, 70.0) for course in (7, 8)]))
    await deployment.until_done()
    told_of = sorted(alert["course_id"] for alert in await course_wide_alerts(deployment))
    assert told_of == ["7", "8"]
    verify(await Topics.read(deployment))
    assert await worker.terminate() == 0


async def test_a_hangup_replaces_the_rules_and_a_wrong_file_does_not(
    deployment: Deployment, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"

    async def digests_after(day: int, score: float) -> list[str]:
        """Return under which rules the alerts so far were sent, with one more score."""
        await deployment.produce([Raw(scored(1, 7, day, 0, score), 0)])
        await deployment.until_done()
        messages = await deployment.read(deployment.topology.alerts)
        return [dict(message.headers)["gradewatch.rules"].decode() for message in messages]

    async def figure(name: str) -> dict[str, float]:
        return {
            labels.get("hash", ""): value
            for sample, labels, value in await worker.samples()
            if sample == name
        }

    await deployment.create_topics()
    rules.write_text("[threshold_crossed]\nthresholds = [50]\n[courses_at_risk]\nenabled = false\n")
    first = load_rules(rules).digest
    worker = await deployment.worker(rules=str(rules)).until_ready()
    assert worker.logged("rules.loaded")[0]["hash"] == first
    assert await digests_after(1, 55.0) == []
    assert await digests_after(2, 49.0) == [first]
    assert await figure("gradewatch_rules_info") == {first: 1.0}

    rules.write_text("[threshold_crossed]\nthresholds = [50, 46]\n[courses_at_risk]\nenabled = false\n")
    second = load_rules(rules).digest
    worker.signal(signal.SIGHUP)
    assert (await worker.until_logged("rules.reloaded"))["hash"] == second
    assert await digests_after(3, 45.5) == [first, second]
    assert await figure("gradewatch_rules_info") == {second: 1.0}

    rules.write_text("[threshold_crossed]\nthresholds = [45, 50]\n[courses_at_risc]\nenabled = false\n")
    worker.signal(signal.SIGHUP)
    failed = await worker.until_logged("rules.reload_failed")
    assert failed["kept"] == second
    assert [problem.removeprefix(str(rules)) for problem in failed["problems"]] == [
        ":2: threshold_crossed.thresholds: must be a list of 1 to 16 numbers, from the highest to the lowest "
        "and each once, not [45, 50]; did you mean [50, 45]?",
        ":3: courses_at_risc: there is no such rule; did you mean courses_at_risk?",
    ]
    assert await figure("gradewatch_rules_reload_failed_total") == {"": 1.0}
    assert await figure("gradewatch_rules_info") == {second: 1.0}
    assert await digests_after(4, 60.0) == [first, second, second]
    assert await worker.terminate() == 0


@pytest.mark.usefixtures("kafka_installed")
def test_a_worker_does_not_start_with_a_broken_file(deployment: Deployment) -> None:
    broken = BROKEN / "contradictions.toml"
    done = deployment.run("worker", rules=str(broken))
    assert done.returncode == 2
    expected = broken.with_suffix(".txt").read_text().splitlines()
    assert [line.removeprefix("Error:").strip() for line in done.stderr.splitlines()] == [
        f"{BROKEN}/{sentence}" for sentence in expected
    ]
