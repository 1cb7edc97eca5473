"""Dead letters replayed through a worker: what can be read now has its effect, the rest comes back once."""

import asyncio
import json
import time

from models.grades import DEFAULT_LIMITS
from models.times import time_from_epoch_ms
from tests.e2e.harness import Deployment, Raw
from tests.e2e.oracle import Topics, alert_ids, newest, verify

AHEAD_SECONDS = 8.0
"""How long after the messages are made one of them can be read; until it is written it must not be."""


def scored(score: float, event_time: str, user: int = 2) -> bytes:
    return json.dumps(
        {
            "metadata": {
                "event_name": "course_grade_change",
                "event_time": event_time,
                "root_account_uuid": "school",
            },
            "body": {"user_id": str(user), "course_id": "1", "current_score": score},
        }
    ).encode()


def replay(deployment: Deployment, *arguments: str) -> dict[str, object]:
    done = deployment.run("dead-letters", "replay", "--yes", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, object] = json.loads(done.stdout)
    return outcome


async def test_a_replay_done_twice_gives_the_same_as_once(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    now_ms = time.time_ns() // 1_000_000
    too_early = now_ms + DEFAULT_LIMITS.max_future_ms + int(AHEAD_SECONDS * 1000)
    messages = [
        Raw(scored(90, time_from_epoch_ms(now_ms - 60_000)), 1),
        # A drop of 30 points, said by a clock that goes ahead.
        Raw(scored(60, time_from_epoch_ms(too_early)), 1, b"k\xff", [("bridge", b"sqs"), ("bridge", None)]),
        Raw(b"{", 0, b"never", [("gradewatch.reason", b"of another")]),
        Raw(None, 2),
    ]
    await deployment.produce(messages)
    await deployment.until_done()
    before = await Topics.read(deployment)
    assert (len(before.records), len(before.dead_letters), len(alert_ids(before))) == (1, 3, 0)

    await _until_ms(too_early - DEFAULT_LIMITS.max_future_ms)
    assert replay(deployment, "--dry-run")["replayed"] == 3
    assert replay(deployment)["replayed"] == 3
    await deployment.until_done()
    once = await Topics.read(deployment)
    verify(once)
    assert [(m.key, m.value, tuple(m.headers)) for m in once.raw if m.key is not None] == [
        # On their partitions, each after the message that it repeats.
        *2 * [(b"never", b"{", (("gradewatch.reason", b"of another"),))],
        *2 * [(b"k\xff", messages[1].value, tuple(messages[1].headers))],
    ]
    # The drop is told of, and what can never be read is there once more each: nothing replays by itself.
    assert len(once.records) == 2
    assert [dict(m.headers)["gradewatch.reason"] for m in once.dead_letters].count(b"future_event") == 1
    assert len(once.dead_letters) == 5
    assert len(alert_ids(once)) > 0

    assert replay(deployment) == {
        "dry_run": False,
        "from": deployment.topology.dead_letters.name,
        "to": deployment.topology.raw.name,
        "replayed": 3,
        "replayed_by_reason": {"future_event": 1, "invalid_json": 1, "empty": 1},
        "skipped": {"repeated": 2},
    }
    await deployment.until_done()
    twice = await Topics.read(deployment)
    verify(twice)
    assert newest(twice.changelog) == newest(once.changelog)
    assert newest(twice.snapshots) == newest(once.snapshots)
    assert alert_ids(twice) == alert_ids(once)
    assert len(twice.dead_letters) == 7
    assert await worker.terminate() == 0


async def _until_ms(epoch_ms: int) -> None:
    await asyncio.sleep(max(0.0, epoch_ms / 1000 - time.time()) + 0.1)


async def test_what_was_came_from_workers_topics_is_left_out(deployment: Deployment) -> None:
    await deployment.create_topics()
    await deployment.write(deployment.topology.records, [Raw(b"not a record", 1, b"k")])
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert replay(deployment)["skipped"] == {"derived": 1}
    assert await deployment.read(deployment.topology.raw) == []
    assert await worker.terminate() == 0
