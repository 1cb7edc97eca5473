"""5: a backlog many times what a worker takes in, and a topic that takes nothing: the backlog has to wait."""

import asyncio
import time
from collections import Counter
from functools import partial
from typing import Final

from models.grades import Ignored, Rejected, read
from models.records import encode_record
from tests.e2e.events import by_student, semester
from tests.e2e.harness import PATIENCE_SECONDS, RAW_PARTITIONS, Raw, Worker
from tests.e2e.oracle import Topics
from tests.faults.outcome import Outcome, Scenario
from tests.faults.scenarios.refused import replicated_records
from tests.faults.stage import Stage, finish, resident_mib

MIB: Final = 1024 * 1024
#: What the outlet takes before whoever sends has to wait, and what it counts for a record beside its value.
OUTLET_BYTES: Final = 16 * MIB
RECORD_OVERHEAD_BYTES: Final = 64
#: What the agents may queue beyond it before they look for room.
BEYOND_BYTES: Final = 3 * MIB
_STANDS_STILL_SECONDS: Final = 3.0
#: What a worker may grow by: the outlet's bytes twice (keys and headers are not counted); ten chunks (eight
#: wait, one is in hand, one is held) of a megabyte for each raw partition; and 60 for Python and its clients.
GROWTH_MIB: Final = 2 * OUTLET_BYTES / MIB + 10 * RAW_PARTITIONS + 60


async def backlog(stage: Stage, compression: str | None = None) -> Outcome:
    """Write many times more than the outlet takes while the topic of records takes nothing."""
    events, seconds = (100_000, 10.0) if stage.quick else (200_000, 45.0)
    messages, record_bytes = await asyncio.to_thread(_semester, events)
    assert sum(record_bytes) > 2 * OUTLET_BYTES, "the backlog is none"
    outcome = Outcome()
    async with replicated_records(stage) as (deployment, second):
        worker = await deployment.worker("one", instance_id="one").until_ready()
        before_mib = resident_mib(worker)
        stage.say("the topic of records takes nothing")
        await asyncio.to_thread(second.stop)
        await deployment.produce(messages, compression=compression)
        taken, most_mib = await _intake_stops(worker, seconds)
        queued_bytes = taken["record"] * sum(record_bytes) / len(record_bytes)
        grown_mib = most_mib - before_mib
        assert taken.total() < len(messages) / 2, f"{taken.total()} of {len(messages)} events were read"
        # Not to the byte: which records they are of all is not known.
        assert 0.9 * OUTLET_BYTES < queued_bytes < OUTLET_BYTES + BEYOND_BYTES, f"{queued_bytes:.0f} queued"
        assert grown_mib < GROWTH_MIB, f"the worker grew by {grown_mib:.0f} MiB"
        committed = await deployment.committed()
        assert not any(committed.values()), f"offsets were committed: {committed}"
        stage.say("mended")
        second.start()
        await finish(deployment, worker)
        outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    outcome.notes.append(
        f"the worker read {taken.total()} of {len(messages)} events ({queued_bytes / MIB:.1f} MiB due), "
        f"no more for {seconds:g} s, and grew by {grown_mib:.0f} MiB"
    )
    return outcome


def _semester(events: int) -> tuple[list[Raw], list[int]]:
    """Return raw messages, and what the outlet counts for each record that they lead to."""
    messages = list(by_student(semester(53, events), 53))
    now_ms = int(time.time() * 1000)
    found = (read(message.value, now_ms) for message in messages)
    return messages, [
        RECORD_OVERHEAD_BYTES + len(encode_record(event))
        for event in found
        if not isinstance(event, Ignored | Rejected)
    ]


async def _intake_stops(worker: Worker, seconds: float) -> tuple[Counter[str], float]:
    """Wait until the worker is unready and stands still, then see for so long that it does, and is alive.

    Returns what it has read, by outcome, and the most memory that it had meanwhile, in MiB.
    """
    most_mib = resident_mib(worker)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (await worker.get("/readyz"))[0] != 503:
        assert time.monotonic() < deadline, "the worker calls itself ready"
        most_mib = max(most_mib, resident_mib(worker))
        await asyncio.sleep(0.2)
    assert (await worker.until_logged("worker.waiting"))["waiting_for"] == "broker"
    taken: Counter[str] = Counter()
    while taken != (taken := await worker.outcomes()):
        assert time.monotonic() < deadline, "the worker reads on"
        most_mib = max(most_mib, resident_mib(worker))
        await asyncio.sleep(_STANDS_STILL_SECONDS)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert worker.exit_code is None, f"the worker ended with {worker.exit_code}"
        assert (await worker.get("/healthz"))[0] == 200, "the worker calls itself dead"
        assert (await worker.get("/readyz"))[0] == 503, "the worker calls itself ready"
        assert await worker.outcomes() == taken, "the worker reads on"
        most_mib = max(most_mib, resident_mib(worker))
        await asyncio.sleep(0.5)
    return taken, most_mib


SCENARIOS: Final = (
    Scenario(5, "A backlog while a derived topic takes nothing", backlog, in_tests=False),
    Scenario(
        5,
        "A compressed backlog while a derived topic takes nothing",
        partial(backlog, compression="zstd"),
        in_tests=False,
    ),
)
