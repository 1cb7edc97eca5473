"""7: the same again, in any order, and from clocks that are wrong."""

import json
import random
import time
from collections.abc import Sequence
from typing import Final

from models.grades import DEFAULT_LIMITS
from models.times import time_from_epoch_ms
from tables.state import StudentState, decode_state, encode_state
from tests.e2e.events import anywhere, by_student, semester
from tests.e2e.harness import Raw
from tests.e2e.oracle import Topics, alert_ids, newest, same_state
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, finish

BOUND: Final = 300
"""How many places an event may come too late where disorder is bounded."""


async def twice(stage: Stage) -> Outcome:
    """Write the whole topic a second time: nothing changes, nothing is told again."""
    events = list(by_student(semester(70, 2_000 if stage.quick else 100_000), 70))
    outcome = Outcome()
    async with stage.deployment() as deployment:
        worker = await deployment.worker("one").until_ready()
        await deployment.produce(events)
        await deployment.until_done(300)
        once = await Topics.read(deployment)
        await deployment.produce(events)
        await finish(deployment, worker, 300)
        again = await Topics.read(deployment)
        assert same_state(once.changelog, again.changelog), "the table has changed"
        assert same_state(once.snapshots, again.snapshots), "snapshots have changed"
        assert len(once.snapshots) == len(again.snapshots), "snapshots were sent again"
        assert alert_ids(once) == alert_ids(again), "alerts were sent again"
        outcome.compare(again, repeats_allowed=False, students_in_order=True)
    outcome.notes.append(f"{len(events):,} messages twice, {alert_ids(again).total()} alerts, none again")
    return outcome


async def disorder(stage: Stage) -> Outcome:
    """Write a semester in order, somewhat out of order, and shuffled: the table is the same three times."""
    size = 1_500 if stage.quick else 50_000
    chance = random.Random(71)
    in_order = semester(71, size)
    places = {number: number + chance.uniform(0, BOUND) for number in range(len(in_order))}
    bounded = [in_order[number] for number in sorted(places, key=places.__getitem__)]
    shuffled = chance.sample(in_order, k=len(in_order))
    outcome = Outcome()
    tables, shown = [], []
    for events in (in_order, bounded, shuffled):
        async with stage.deployment() as deployment:
            worker = await deployment.worker("one").until_ready()
            await deployment.produce(anywhere(events, 72))
            await finish(deployment, worker, 300)
            topics = await Topics.read(deployment)
            outcome.compare(topics, repeats_allowed=False)
            tables.append({key: _scores(value) for key, value in newest(topics.changelog).items()})
            shown.append({key: _without_alerts(value) for key, value in newest(topics.snapshots).items()})
    assert tables[0] == tables[1] == tables[2], "the table depends on the order"
    assert shown[0] == shown[1] == shown[2], "snapshots depend on the order"
    outcome.notes.append(f"{len(in_order):,} messages in order, up to {BOUND} places out of it, and shuffled")
    return outcome


def _scores(state: bytes) -> bytes:
    """Return what is kept of a student but for what rules hold, which follows the order of arrival."""
    return encode_state(StudentState(decode_state(state).scores))


def _without_alerts(snapshot: bytes) -> dict[str, object]:
    shown: dict[str, object] = json.loads(snapshot)
    del shown["alerts_open"]
    return shown


async def wrong_clocks(stage: Stage) -> Outcome:
    """Mix in events from the future and from 1970: the former are dead letters, the latter change nothing."""
    sane = list(by_student(semester(73, 2_000 if stage.quick else 20_000, poison=0.0), 73))
    outcome = Outcome()
    tables = []
    for mixed in (False, True):
        async with stage.deployment() as deployment:
            worker = await deployment.worker("one").until_ready()
            events = _with_wrong_clocks(sane) if mixed else sane
            await deployment.produce(events)
            await finish(deployment, worker, 300)
            topics = await Topics.read(deployment)
            outcome.compare(topics, repeats_allowed=False, students_in_order=False)
            tables.append((newest(topics.changelog), newest(topics.snapshots), set(alert_ids(topics))))
    assert tables[0] == tables[1], "an event with a wrong time has had an effect"
    future = [dict(m.headers)["gradewatch.reason"] for m in topics.dead_letters]
    assert future.count(b"future_event") == len(future) > 0
    outcome.notes.append(f"{len(future)} from the future, {len(events) - len(sane) - len(future)} from 1970")
    return outcome


def _with_wrong_clocks(sane: Sequence[Raw]) -> list[Raw]:
    """After every event of a kind that is read put it once more with another score, from two wrong clocks."""
    now_ms = time.time_ns() // 1_000_000
    future = time_from_epoch_ms(now_ms + DEFAULT_LIMITS.max_future_ms + 3_600_000)
    messages = []
    for message in sane:
        messages.append(message)
        event = json.loads(message.value or b"{}")
        body = event.get("body", {})
        if event.get("metadata", {}).get("event_name") != "course_grade_change" or len(messages) % 3:
            continue
        body["current_score"] = 1.0
        body.pop("workflow_state", None)
        for moment in (future, "1970-01-01T00:00:00.000Z"):
            event["metadata"]["event_time"] = moment
            messages.append(message._replace(value=json.dumps(event).encode()))
    return messages


SCENARIOS: Final = (
    Scenario(7, "Every message twice", twice),
    Scenario(7, "Any order", disorder),
    Scenario(7, "Clocks that are wrong", wrong_clocks),
)
