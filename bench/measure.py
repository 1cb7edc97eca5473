"""One run of one contender, measured from outside by what it has written and committed.

The clock starts when a tenth of the grades has arrived in the topic that is keyed by student: start, group
join and warm-up lie before it, and that tenth isn't counted. It stops when the raw topic and the keyed topic
are committed to their ends. Every contender commits after its output is acknowledged, so that nothing is left
to do then. (The limit writes nothing, and has nothing to warm up: for it the clock starts with its first
commit, which follows its first fetch.)
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from aiokafka import TopicPartition

from bench.cluster import Cluster
from bench.fill import AlertKey, Filled
from bench.launch import Plan
from bench.processes import ContenderError, Processes, Usage
from tests.kafka import ROOT

POLL_SECONDS = 0.05
WARM_UP_SHARE = 0.1
MOST_BEFORE_THE_CLOCK = 0.5
PREPARE_TIMEOUT_SECONDS = 60.0
START_TIMEOUT_SECONDS = 90.0

Progress = Callable[[int], None]
"""Told how many raw events are committed."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured."""

    events_per_second: float
    events: int
    seconds: float
    cpu_seconds_per_million: float
    max_rss_mib: float


async def prepare(cluster: Cluster, plan: Plan, partitions: int) -> None:
    """Create the topics that the contender expects."""
    for topic in plan.creates:
        await cluster.create(topic, partitions)
    if plan.prepare:
        env = {**os.environ, **plan.env}
        process = await asyncio.create_subprocess_exec(
            *plan.prepare, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), PREPARE_TIMEOUT_SECONDS)
        if process.returncode:
            raise ContenderError(said.decode())


async def throughput(
    cluster: Cluster,
    plan: Plan,
    processes: Processes,
    filled: Filled,
    *,
    timeout_seconds: float,
    progress: Progress = lambda _: None,
) -> Throughput:
    """Watch a contender work through a raw topic; raises ContenderError when it doesn't get to the end."""
    ends = await cluster.ends(filled.topic)
    started: tuple[float, float, Usage] | None = None
    done = 0
    deadline = time.monotonic() + START_TIMEOUT_SECONDS + timeout_seconds
    while time.monotonic() < deadline:
        processes.check()
        usage = processes.usage()
        committed = await cluster.committed(plan.group)
        done = sum(committed.get(tp, 0) for tp in ends)
        progress(done)
        if started is None:
            share = await _arrived(cluster, plan, filled) if plan.keyed else done / filled.events
            if share >= (WARM_UP_SHARE if plan.keyed else 1 / filled.events):
                started = time.perf_counter(), share, usage
            if share > MOST_BEFORE_THE_CLOCK:
                raise ContenderError("most was done before the clock started: there are too few events")
        elif done >= filled.events and await _all_committed(cluster, plan, committed):
            began, share, before = started
            events, seconds = int(filled.events * (1 - share)), time.perf_counter() - began
            cpu_seconds = usage.cpu_seconds - before.cpu_seconds
            return Throughput(
                events / seconds, events, seconds, cpu_seconds * 1e6 / events, processes.max_rss_mib
            )
        await asyncio.sleep(POLL_SECONDS)
    raise ContenderError(f"was not done within {timeout_seconds:.0f} seconds ({done} of {filled.events})")


async def _arrived(cluster: Cluster, plan: Plan, filled: Filled) -> float:
    """Return which share of the grades has arrived in the keyed topic."""
    ends = await cluster.ends(plan.keyed) if plan.keyed else {}
    return sum(ends.values()) / filled.grade_events


async def _all_committed(cluster: Cluster, plan: Plan, committed: dict[TopicPartition, int]) -> bool:
    if plan.keyed is None:
        return True
    ends = await cluster.ends(plan.keyed)
    if not ends:
        raise ContenderError(f"there is no topic {plan.keyed}")
    return all(committed.get(tp, 0) >= end for tp, end in ends.items())


async def until_done(
    cluster: Cluster,
    plan: Plan,
    processes: Processes,
    filled: Filled,
    *,
    timeout_seconds: float,
    progress: Progress = lambda _: None,
) -> None:
    """Return when a contender has committed everything; nothing is measured."""
    ends = await cluster.ends(filled.topic)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS + timeout_seconds
    while time.monotonic() < deadline:
        processes.check()
        processes.usage()
        committed = await cluster.committed(plan.group)
        done = sum(committed.get(tp, 0) for tp in ends)
        progress(done)
        if done >= filled.events and await _all_committed(cluster, plan, committed):
            return
        await asyncio.sleep(POLL_SECONDS)
    raise ContenderError(f"was not done within {timeout_seconds:.0f} seconds ({done} of {filled.events})")


async def check_alerts(cluster: Cluster, plan: Plan, expected: set[AlertKey]) -> int:
    """Compare a contender's alerts with what they must be; return how many were sent more than once.

    Raises ContenderError when one is missing or too many.
    """
    if plan.alerts is None:
        return 0
    sent = [key async for record in cluster.read_all(plan.alerts) if (key := _key(record.value))]
    found = set(sent)
    if found != expected:
        missing, unexpected = expected - found, found - expected
        examples = sorted(missing)[:2] + sorted(unexpected)[:2]
        raise ContenderError(
            f"{len(missing)} alerts are missing and {len(unexpected)} should not be there, "
            f"of {len(expected)}: {examples}"
        )
    return len(sent) - len(found)


def _key(value: bytes) -> AlertKey | None:
    alert = orjson.loads(value)
    if alert["rule"] != "score_drop":
        return None
    student = f"{alert['root_account_uuid']}:{alert['user_id']}"
    return student, alert["course_id"], alert["status"], alert["event_time"]
