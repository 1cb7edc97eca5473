"""One semester, generated once, that the tests of this folder look at from all sides."""

from typing import Any

import orjson
import pytest

from app.semester import Options, RawEvent, Semester
from app.semester.courses import Course, plan_courses

Courses = tuple[Course, ...]


SEED = 20
"""A school with courses of every policy, a visitor from another shard and extra credit."""


@pytest.fixture(scope="session")
def semester() -> Semester:
    """Give a semester with classes of more than a hundred students."""
    return Semester(Options(seed=SEED, students=140, courses=5))


@pytest.fixture(scope="session")
def courses(semester: Semester) -> Courses:
    """Give its courses as they were planned."""
    return plan_courses(semester.options, semester.size, semester.school)


@pytest.fixture(scope="session")
def events(semester: Semester) -> list[RawEvent]:
    """Give all its events, in order, without repeats and poison."""
    return list(semester.events())


@pytest.fixture(scope="session")
def parsed(events: list[RawEvent]) -> list[dict[str, Any]]:
    """Give the same events as JSON objects."""
    return [orjson.loads(event.value or b"") for event in events]
