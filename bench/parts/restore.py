"""Restoring the state from the changelog after the local folder is gone: keys per second.

Every student has one course, so that both contenders keep one key for each, and each key is written once.
Kafka Streams reports the time itself (StateRestoreListener, first start to last end); Gradewatch's runs from
the first sight of outstanding records on its metrics page until it is ready to work.
"""

import asyncio
import re
import time

from bench import results
from bench.fill import Filled, grade_events
from bench.launch import GRADEWATCH, KAFKA_STREAMS_2, Contender
from bench.measure import until_done
from bench.metrics import scrape
from bench.processes import ContenderError, Processes
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
        found[contender.name] = students / seconds
        session.details.setdefault("restore", {})[contender.label] = {"keys": students, "seconds": seconds}
        session.console.print(
            f"restore of {contender.label}: {students:,} keys in {seconds:.2f} s, "
            f"{students / seconds:,.0f} keys/s"
        )
    return results.Restore(**found)


async def _measure(session: Session, contender: Contender, filled: Filled) -> float:
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
        run.wipe()
        with run.processes() as processes:
            watch = _from_metrics if run.plan.metrics_port else _from_log
            return await asyncio.wait_for(watch(run, processes), _TIMEOUT_SECONDS)


async def _from_metrics(run: Run, processes: Processes) -> float:
    began: float | None = None
    while True:
        processes.check()
        values = await scrape(run.plan.metrics_port or 0)
        if began is None and values.get("gradewatch_recovery_remaining_records"):
            began = time.perf_counter()
        if values.get("gradewatch_ready"):
            if began is None:
                raise ContenderError("restored nothing, or too little to be seen")
            return time.perf_counter() - began
        await asyncio.sleep(_POLL_SECONDS)


async def _from_log(run: Run, processes: Processes) -> float:
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
