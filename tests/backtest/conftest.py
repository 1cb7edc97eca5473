"""A recorded semester with everything that goes wrong in one, and what the pure functions make of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from app.main import main
from app.semester import Options, Semester
from models.grades import Ignored, Rejected, read
from tables.cases import NO_HOLDS, AlertDraft, Holds
from tables.courses import NO_DROPS, CourseDrops, count_drop, drop_of
from tables.rulebook import DEFAULT_RULEBOOK, Rulebook
from tables.rules import evaluate
from tables.scores import EMPTY, StudentScores, fold

Recording: TypeAlias = list[bytes]
"""Values of raw messages, empty ones for those without."""

EAGER_RULES = """
[score_drop]
min_drop = 4
critical_drop = 8
window = "14d"
rearm = 2

[course_wide_drop]
min_students = 3
window = "1d"

[courses_at_risk]
enabled = false
"""
"""Rules that say more, so that there is something to compare."""


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("GRADEWATCH_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def semester() -> Semester:
    return Semester(
        Options(seed=5, students=40, weeks=8, poison=0.02, duplicates=0.05, disorder_seconds=1200)
    )


@pytest.fixture(scope="session")
def recording(semester: Semester) -> Recording:
    return [event.value or b"" for event in semester.events()]


@pytest.fixture(scope="session")
def in_order() -> Recording:
    """Give a recording in which nothing is late, repeated or unreadable."""
    return [event.value or b"" for event in Semester(Options(seed=6, students=30, weeks=6)).events()]


@pytest.fixture
def eager_rules(tmp_path: Path) -> Path:
    path = tmp_path / "eager.toml"
    path.write_text(EAGER_RULES)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes values as lines."""

    def write(name: str, values: Iterable[bytes]) -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(b"%b\n" % value for value in values))
        return path

    return write


def backtest(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)], input=stdin)


def document(*arguments: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
    """Run a backtest and return its JSON without what differs from run to run."""
    result = backtest(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    del found["seconds"], found["events_per_second"]
    return found


def pure_alerts(values: Iterable[bytes], book: Rulebook = DEFAULT_RULEBOOK) -> list[AlertDraft]:
    """Evaluate raw values one by one with nothing but the pure functions."""
    states: dict[bytes, tuple[StudentScores, Holds]] = {}
    courses: dict[bytes, CourseDrops] = {}
    alerts: list[AlertDraft] = []
    for value in values:
        record = read(value)
        if isinstance(record, Ignored | Rejected):
            continue
        before, holds = states.get(record.key, (EMPTY, NO_HOLDS))
        after = fold(before, record)
        rules = book.for_course(record.root_account_uuid, record.course_id)
        holds, drafts = evaluate(holds, before, after, record, rules)
        states[record.key] = (after, holds)
        alerts += drafts
        for drop in filter(None, map(drop_of, drafts)):
            of_course = book.for_course(drop.root_account_uuid, drop.course_id).course_wide_drop
            drops = courses.get(drop.key, NO_DROPS)
            courses[drop.key], alert = count_drop(drops, drop, of_course)
            if alert is not None:
                alerts.append(alert)
    return alerts
