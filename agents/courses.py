"""Step 6 at work: count the score drops of each course, and tell when many students drop at once.

The drops arrive keyed by course, so a course's state is only ever changed here, in one partition. A window
that was told of is remembered with the next flush, after its alert is acknowledged: a crash in between
sends the same alert, with the same id, again.
"""

import asyncio

from agents.alerts import Alerts
from agents.router import DeadLetters
from agents.rules import ActiveRules
from agents.topology import DROPS_TABLE, Topology
from agents.trails import Trail
from engine.app import ChunkApp
from engine.chunks import Chunk
from engine.outlet import Outlet
from engine.table import Cell, TableCodec
from models.drops import decode_course_drop
from models.grades import Reason, Rejected
from tables.courses import (
    NO_DROPS,
    VERSION,
    CourseDrops,
    count_drop,
    decode_course_drops,
    encode_course_drops,
)

MAX_CACHED_COURSES = 10_000


class Courses:
    """Keeps the table of courses' drops."""

    def __init__(
        self,
        app: ChunkApp,
        topology: Topology,
        outlet: Outlet,
        dead_letters: DeadLetters,
        alerts: Alerts,
        *,
        rules: ActiveRules,
        trail: Trail | None = None,
    ) -> None:
        self._trail = trail
        self._outlet = outlet
        self._dead_letters = dead_letters
        self._alerts = alerts
        self._rules = rules
        self.table = app.write_behind_table(
            DROPS_TABLE,
            partitions=topology.course_drops.partitions,
            codec=TableCodec(encode_course_drops, decode_course_drops, VERSION),
            max_cells=MAX_CACHED_COURSES,
            on_capture=_nothing_follows,
        )

    async def __call__(self, chunk: Chunk) -> None:
        """Count every drop of a chunk."""
        book = self._rules.book
        courses = self.table.partition(chunk.tp.partition)
        for piece in chunk.pieces():
            await asyncio.sleep(0)
            for message in piece.records:
                try:
                    drop = decode_course_drop(message.value or b"")
                except ValueError as error:  # not written by a scorer
                    self._dead_letters.send(message, chunk.tp, Rejected(Reason.INVALID_BODY, str(error)))
                    continue
                trace = () if self._trail is None else self._trail.follow(message)
                cell = courses.cell(drop.key)
                before = cell.value or NO_DROPS
                rules = book.for_course(drop.root_account_uuid, drop.course_id)
                drops, alert = count_drop(before, drop, rules.course_wide_drop)
                if drops is not before:
                    courses.change(drop.key, cell, drops)
                if alert is not None:
                    self._alerts.send(alert, message, book.digest, trace)
        await self._outlet.room()


def _nothing_follows(_key: bytes, _cell: Cell[CourseDrops]) -> None:
    """Do nothing: a changed course is told of by its alerts alone."""
