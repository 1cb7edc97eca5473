"""Restoring the state from the changelog after the local folder is gone: keys per second.

Every student has one course, so that both contenders keep one key for each, and each key is written once.
Both report the time themselves: Kafka Streams from the first start to the last end that its
StateRestoreListener is told of, Gradewatch (`partition.recovered` in its log) from the end of the rebalance
until all tables are as their changelogs are.
"""

import asyncio
import re
from statistics import median

import orjson

from agents.topology import SCORES_TABLE
from bench import results
from bench.fill import Filled, grade_events
from bench.launch import GRADEWATCH, KAFKA_STREAMS_2, Contender
from bench.measure import until_done
from bench.processes import Processes
from bench.session import Run, Session

_TIMEOUT_SECONDS = 180.0
_POLL_SECONDS = 0.01


async def run(session: Session) -> results.Restore:
    """Measure both contenders."""
    students = session.sizes.restored_students
    filled = await session.fill("restore", students, grade_events(students, students, courses_per_student=1))
    found: dict[str, float] = {}
    for contender in (GRADEWATCH, KAFKA_STREAMS_2):
        seconds = await _measure(session, contender, filled)
        found[contender.name] = students / median(seconds)
        session.details.setdefault("restore", {})[contender.label] = {"keys": students, "seconds": seconds}
        session.console.print(
            f"restore of {contender.label}: {students:,} keys in {median(seconds):.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}), {found[contender.name]:,.0f} keys/s"
        )
    return results.Restore(**found)


async def _measure(session: Session, contender: Contender, filled: Filled) -> list[float]:
    """Return the seconds of each round."""
    async with session.contender(contender, filled.topic) as run:
        what = f"restore: {contender.label} fills its state"
        with session.bar(what, filled.events) as set_done, run.processes() as processes:
            await until_done(
                run.cluster,
                run.plan,
                processes,
                filled,
                timeout_seconds=session.sizes.run_timeout_seconds,
                progress=set_done,
            )
        watch = _from_events if contender is GRADEWATCH else _from_log
        rounds = []
        for _ in range(session.sizes.rounds):
            run.wipe()
            with run.processes() as processes:
                rounds.append(await asyncio.wait_for(watch(run, processes, filled.events), _TIMEOUT_SECONDS))
        return rounds


async def _from_events(_: Run, processes: Processes, keys: int) -> float:
    """Wait for the events that name every row."""
    while True:
        processes.check()
        lines = processes.log.read_bytes().splitlines()
        events = [orjson.loads(line) for line in lines if b'"partition.recovered"' in line]
        if sum(event["records"] for event in events if event["table"] == SCORES_TABLE) >= keys:
            return float(max(event["seconds"] for event in events))
        await asyncio.sleep(_POLL_SECONDS)


async def _from_log(run: Run, processes: Processes, _: int) -> float:
    """Wait for the line `restored ROWS SECONDS` that names every row."""
    rows = sum((await run.cluster.ends(f"{run.plan.group}-scores-changelog")).values())
    while True:
        processes.check()
        for restored, seconds in re.findall(
            r"^restored (\d+) ([\d.]+)$", processes.log.read_text(), re.MULTILINE
        ):
            if int(restored) >= rows:
                return float(seconds)
        await asyncio.sleep(_POLL_SECONDS)
