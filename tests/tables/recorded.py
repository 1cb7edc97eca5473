"""What a release keeps, recorded: so that later ones can be held to reading it and going on from it.

`python -m tests.tables.recorded FILE` records the present release; to be done before the stored form changes,
and never again for the same form. A recording has the tables' rows after half of a small semester, and what
came of the other half: the newest snapshots and the alerts.
"""

import base64
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.semester import Options, Semester
from models.drops import CourseDrop
from models.grades import Ignored, Rejected, read
from models.records import GradeRecord, decode_record, encode_record
from models.snapshots import encode_snapshot
from tables.courses import (
    NO_DROPS,
    CourseDrops,
    count_drop,
    decode_course_drops,
    drop_of,
    encode_course_drops,
)
from tables.rulebook import DEFAULT_RULEBOOK
from tables.rules import evaluate
from tables.scores import fold
from tables.snapshot import snapshot
from tables.state import NO_STATE, VERSION, StudentState, decode_state, encode_state
from tests.e2e.events import by_student

FOLDER = Path(__file__).parent.parent / "fixtures" / "state"
RULES = DEFAULT_RULEBOOK.default


class Work:
    """The scorer's and the courses' part, without Kafka."""

    def __init__(self, states: Mapping[bytes, StudentState], drops: Mapping[bytes, CourseDrops]) -> None:
        self.states = dict(states)
        self.drops = dict(drops)
        self.alert_ids: list[str] = []

    def take(self, record: GradeRecord) -> None:
        before = self.states.get(record.key, NO_STATE)
        scores = fold(before.scores, record)
        holds, drafts = evaluate(before.holds, before.scores, scores, record, RULES)
        self.states[record.key] = StudentState(scores, holds)
        for draft in drafts:
            self.alert_ids.append(draft.alert_id)
            if (drop := drop_of(draft)) is not None:
                self._count(drop)

    def _count(self, drop: CourseDrop) -> None:
        drops, alert = count_drop(self.drops.get(drop.key, NO_DROPS), drop, RULES.course_wide_drop)
        self.drops[drop.key] = drops
        if alert is not None:
            self.alert_ids.append(alert.alert_id)

    def snapshots(self) -> dict[bytes, bytes]:
        """Return the newest snapshot of each course that has one, by its message key."""
        shown = {}
        for key, state in self.states.items():
            root_account_uuid, _, user_id = key.decode().rpartition(":")
            for course_id in state.scores.courses:
                value = snapshot(state, root_account_uuid, user_id, course_id, RULES.score_drop.window)
                if value is not None:
                    shown[f"{root_account_uuid}:{user_id}:{course_id}".encode()] = encode_snapshot(value)
        return shown


class Recording(NamedTuple):
    """What one release kept, and what comes of it."""

    format: int
    states: dict[bytes, bytes]
    drops: dict[bytes, bytes]
    records: list[bytes]
    """The other half, as `grade-records` had it."""
    snapshots: dict[bytes, bytes]
    alert_ids: list[str]

    @classmethod
    def load(cls, file: Path) -> "Recording":
        found = orjson.loads(file.read_bytes())

        def rows(name: str) -> dict[bytes, bytes]:
            return {key.encode(): base64.b64decode(value) for key, value in found[name].items()}

        return cls(
            found["format"],
            rows("states"),
            rows("drops"),
            [orjson.dumps(record) for record in found["records"]],
            {key.encode(): orjson.dumps(value) for key, value in found["snapshots"].items()},
            found["alert_ids"],
        )

    def go_on(self) -> Work:
        """Read what was kept as the present release does, and take the other half."""
        work = Work(
            {key: decode_state(value) for key, value in self.states.items()},
            {key: decode_course_drops(value) for key, value in self.drops.items()},
        )
        for record in self.records:
            work.take(decode_record(record))
        return work


def recordings() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def _records() -> list[GradeRecord]:
    semester = Semester(Options(seed=5, students=6, courses=2, weeks=6, other_share=0.0))
    outcomes = (read(raw.value) for raw in by_student(semester.events(), 1))
    return [record for record in outcomes if not isinstance(record, (Ignored, Rejected))]


def _text(rows: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): base64.b64encode(value).decode() for key, value in sorted(rows.items())}


def _lines(document: Mapping[str, Any]) -> Iterable[bytes]:
    """Write what is repeated one a line, so that a recording can be looked at."""
    for number, (name, value) in enumerate(document.items()):
        yield b"{" if not number else b",\n"
        yield orjson.dumps(name) + b": "
        match value:
            case list():
                yield b"[\n" + b",\n".join(map(orjson.dumps, value)) + b"\n]"
            case dict():
                items = (orjson.dumps(key) + b": " + orjson.dumps(each) for key, each in value.items())
                yield b"{\n" + b",\n".join(items) + b"\n}"
            case _:
                yield orjson.dumps(value)
    yield b"}\n"


def main(file: Path) -> None:
    """Record what the present release keeps."""
    records = _records()
    half = len(records) // 2
    work = Work({}, {})
    for record in records[:half]:
        work.take(record)
    states = {key: encode_state(state) for key, state in work.states.items()}
    drops = {key: encode_course_drops(drop) for key, drop in work.drops.items()}
    work.alert_ids.clear()
    for record in records[half:]:
        work.take(record)
    document = {
        "format": VERSION,
        "states": _text(states),
        "drops": _text(drops),
        "records": [orjson.loads(encode_record(record)) for record in records[half:]],
        "snapshots": {key.decode(): orjson.loads(value) for key, value in sorted(work.snapshots().items())},
        "alert_ids": work.alert_ids,
    }
    file.write_bytes(b"".join(_lines(document)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
