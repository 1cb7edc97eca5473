"""Steps 3 to 5 at work: fold each grade record into its student's state, judge it, tell what changed.

The records arrive keyed by student, so a student's state is only ever changed here, in one partition, in the
order of arrival. A changed state is written with the next flush, and with it a snapshot of each course that
looks different to the student from what was last sent.
"""

import asyncio
from collections import Counter

from agents.alerts import Alerts, raw_timestamp_of
from agents.metrics import Metrics
from agents.router import DeadLetters
from agents.rules import ActiveRules
from agents.topology import SCORES_TABLE, Topology
from agents.trails import Trace, Trail
from engine.app import ChunkApp
from engine.chunks import Chunk, Record
from engine.outlet import Outlet
from engine.table import Cell, PartitionCache, TableCodec
from models.drops import CourseDrop, encode_course_drop
from models.grades import Reason, Rejected
from models.headers import course_drop_headers, snapshot_headers
from models.records import CourseGradeChange, GradeChange, GradeRecord, decode_record
from tables.courses import drop_of
from tables.rulebook import Rulebook
from tables.rules import evaluate
from tables.scores import place
from tables.snapshot import encoded_snapshot
from tables.state import NO_STATE, VERSION, StudentState, decode_state, encode_state


class Scorer:
    """Keeps the table of student states."""

    def __init__(
        self,
        app: ChunkApp,
        topology: Topology,
        outlet: Outlet,
        metrics: Metrics,
        dead_letters: DeadLetters,
        alerts: Alerts,
        *,
        rules: ActiveRules,
        max_cached_students: int,
        trail: Trail | None = None,
    ) -> None:
        self._trail = trail
        self._drops = topology.course_drops.name
        self._snapshots = topology.snapshots.name
        self._outlet = outlet
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._alerts = alerts
        self._rules = rules
        self.table = app.write_behind_table(
            SCORES_TABLE,
            partitions=topology.records.partitions,
            codec=TableCodec(encode_state, decode_state, VERSION),
            max_cells=max_cached_students,
            on_capture=self._send_snapshots,
        )

    async def __call__(self, chunk: Chunk) -> None:
        """Fold and judge every record of a chunk."""
        book = self._rules.book
        states = self.table.partition(chunk.tp.partition)
        not_newest: list[tuple[str, str]] = []
        for piece in chunk.pieces():
            await asyncio.sleep(0)
            for message in piece.records:
                try:
                    record = decode_record(message.value or b"")
                except ValueError as error:  # not written by a router
                    self._dead_letters.send(message, chunk.tp, Rejected(Reason.INVALID_BODY, str(error)))
                    continue
                standing = self._take(record, message, states, book)
                if standing != "newest":
                    not_newest.append((record.type, standing))
        for (record_type, standing), count in Counter(not_newest).items():
            if standing == "late":
                self._metrics.late_events.labels(record_type).inc(count)
            elif standing == "duplicate":
                self._metrics.duplicate_events.labels(record_type).inc(count)
        await self._outlet.room()

    def _take(
        self, record: GradeRecord, message: Record, states: PartitionCache[StudentState], book: Rulebook
    ) -> str:
        """Change the student's state and queue the alerts, in one step that nothing comes between."""
        trace = () if self._trail is None else self._trail.follow(message)
        key = record.key
        cell = states.cell(key)
        before = cell.value or NO_STATE
        scores, standing = place(before.scores, record)
        rules = book.for_course(record.root_account_uuid, record.course_id)
        holds, drafts = evaluate(before.holds, before.scores, scores, record, rules, standing=standing)
        if scores is not before.scores or holds is not before.holds:
            states.change(key, cell, StudentState(scores, holds))
            course_id = record.course_id or ""
            note = cell.notes.get(course_id)
            if note is None:
                cell.notes[course_id] = _Note(record)
            else:
                note.add(record)
        for draft in drafts:
            self._alerts.send(draft, message, book.digest, trace)
            if (drop := drop_of(draft)) is not None:
                self._send_drop(drop, message, trace)
        return standing

    def _send_drop(self, drop: CourseDrop, message: Record, trace: Trace) -> None:
        """Queue a score drop for the agent that watches its course."""
        headers = [*course_drop_headers(drop, raw_timestamp_of(message)), *trace]
        self._outlet.send(self._drops, drop.key, encode_course_drop(drop), headers)

    def _send_snapshots(self, key: bytes, cell: Cell[StudentState]) -> None:
        """Queue what changed for the student since the last flush; what went is taken back."""
        before, after = cell.stored or NO_STATE, cell.value or NO_STATE
        window_ms = self._rules.book.default.score_drop.window
        root_account_uuid, _, user_id = key.decode().rpartition(":")
        notes: dict[str, _Note] = cell.notes
        newest = list(notes.values())[-1]
        records = sum(note.records for note in notes.values())
        for course_id in notes.keys() | (before.scores.courses.keys() - after.scores.courses.keys()):
            course = (root_account_uuid, user_id, course_id, window_ms)
            note = notes.get(course_id, newest)
            value = encoded_snapshot(after, *course)
            if course_id in cell.memo:
                is_known = hash(value) == cell.memo[course_id]
            else:
                # A worker that crashed may have sent what came between these records, and nobody knows.
                between = records > 1 and note.shown and course_id in notes
                is_known = not between and value == encoded_snapshot(before, *course)
            if is_known:
                continue
            cell.memo[course_id] = hash(value)
            snapshot_key = f"{root_account_uuid}:{user_id}:{course_id}".encode()
            headers = snapshot_headers(
                event_id=note.event_id,
                root_account_uuid=root_account_uuid,
                event_time=note.event_time,
                key=snapshot_key,
            )
            self._outlet.send(self._snapshots, snapshot_key, value, headers)


class _Note:
    """Of a course, what changed since the last flush."""

    __slots__ = ("event_id", "event_time", "records", "shown")

    def __init__(self, record: GradeRecord) -> None:
        #: The newest record's, in the order of arrival.
        self.event_id, self.event_time = record.event_id, record.event_time
        self.records = 1
        #: Whether one of them may have shown in a snapshot.
        self.shown = _may_show(record)

    def add(self, record: GradeRecord) -> None:
        self.event_id, self.event_time = record.event_id, record.event_time
        self.records += 1
        self.shown = self.shown or _may_show(record)


def _may_show(record: GradeRecord) -> bool:
    if isinstance(record, GradeChange):
        return not record.is_muted
    return not (isinstance(record, CourseGradeChange) and record.is_deleted)
