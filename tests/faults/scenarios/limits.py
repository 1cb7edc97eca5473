"""8: a student of whom there is ever more: what is kept grows to its limit and no further."""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

from models.fields import MAX_STATUS_CHARACTERS
from models.times import time_from_epoch_ms
from tests.e2e.harness import Raw
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, finish

_SINCE_MS: Final = 1_700_000_000_000
_MINUTE_MS: Final = 60_000
_COURSE: Final = "7"


async def ever_more(stage: Stage) -> Outcome:
    """Let everything change of one student in one course, again and again, in its longest form."""
    rounds = 150 if stage.quick else 5_000
    outcome = Outcome()
    async with stage.deployment() as deployment:
        worker = await deployment.worker("one").until_ready()
        sizes = []
        for half in range(2):
            await deployment.produce(_everything(range(half * rounds, (half + 1) * rounds)))
            await deployment.until_done(300)
            topics = await Topics.read(deployment)
            sizes.append(max(len(row.value or b"") for row in topics.changelog))
        await finish(deployment, worker, 300)
        outcome.compare(await Topics.read(deployment), repeats_allowed=False)
    assert sizes[1] <= sizes[0] * 1.01, f"the row still grows: {sizes[0]:,} bytes, then {sizes[1]:,}"
    outcome.notes.append(
        f"a row of at most {sizes[0]:,} bytes after {4 * rounds:,} events, {sizes[1]:,} after twice as many"
    )
    return outcome


def _everything(rounds: range) -> Iterator[Raw]:
    """Yield four events a round: scores, a new submission, an override and a status of a new period."""
    chance = random.Random(80)
    for number in rounds:
        score = 100 * chance.random()
        period = str(10**9 + number)
        long_name = f"{number:0{MAX_STATUS_CHARACTERS}}"
        for name, body in (
            ("course_grade_change", {"current_score": score, "unposted_current_score": score / 2}),
            ("grade_change", {"submission_id": period, "score": score, "points_possible": 100.0}),
            ("grade_override", {"override_score": score, "grading_period_id": period}),
            ("final_grade_custom_status", {"override_status": long_name, "grading_period_id": period}),
        ):
            yield Raw(_event(name, _SINCE_MS + number * _MINUTE_MS, body), partition=0)


def _event(name: str, at: int, body: dict[str, Any]) -> bytes:
    metadata = {
        "event_name": name,
        "event_time": time_from_epoch_ms(at),
        "root_account_uuid": "school",
        "context_type": "Course",
        "context_id": _COURSE,
    }
    common = {"user_id": "1", "course_id": _COURSE, "grading_complete": True, "muted": False}
    if name != "grade_change":
        del common["grading_complete"], common["muted"]
    return json.dumps({"metadata": metadata, "body": common | body}).encode()


SCENARIOS: Final = (Scenario(8, "A student of whom there is ever more", ever_more),)
