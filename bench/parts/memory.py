"""Memory of one worker that keeps a million student-courses: a bounded cache, and RocksDB with bounds."""

import asyncio
from typing import Any

from bench.fill import grade_events
from bench.launch import GRADEWATCH
from bench.measure import until_done
from bench.metrics import scrape
from bench.session import Session

_SETTLE_SECONDS = 5.0


async def run(session: Session) -> float:
    """Return the greatest resident memory seen, in MiB."""
    count = session.sizes.student_courses
    filled = await session.fill("many", count, grade_events(count, count))
    async with session.contender(GRADEWATCH, filled.topic) as run:
        with session.bar("memory: Gradewatch", filled.events) as set_done, run.processes() as processes:
            await until_done(
                run.cluster,
                run.plan,
                processes,
                filled,
                timeout_seconds=session.sizes.run_timeout_seconds,
                progress=set_done,
            )
            await asyncio.sleep(_SETTLE_SECONDS)
            usage = processes.usage()
            students = (await scrape(run.plan.metrics_port or 0)).get("gradewatch_table_keys")
    details: dict[str, Any] = {
        "student_courses": count,
        "students": students,
        "max_rss_mib": processes.max_rss_mib,
        "rss_mib_afterwards": usage.rss_mib,
    }
    session.details["memory"] = details
    session.console.print(
        f"memory with {count:,} student-courses: {processes.max_rss_mib:,.0f} MiB at most, "
        f"{usage.rss_mib:,.0f} MiB afterwards"
    )
    return processes.max_rss_mib
