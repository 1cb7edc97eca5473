"""`gradewatch scores show STUDENT`: what is known about a student, course by course."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from app.cli import (
    HelpfulGroup,
    broker_timeout_seconds,
    console,
    print_json,
    progress_bar,
    run,
    with_settings,
)
from app.errors import GradewatchError
from app.rules import load_rules
from app.settings import Settings
from app.states import read_state
from models.times import time_from_epoch_ms
from tables.rules import STAFF_ONLY
from tables.scores import CourseScores
from tables.snapshot import snapshot
from tables.state import StudentState

if TYPE_CHECKING:
    from models.snapshots import StudentScoresSnapshot

NONE: Final = "-"
"""Stands for what is not known."""


class Student(NamedTuple):
    """Who is asked for."""

    root_account_uuid: str
    user_id: str

    @property
    def key(self) -> bytes:
        """The message key of everything about the student."""
        return f"{self.root_account_uuid}:{self.user_id}".encode()


class StudentType(click.ParamType):
    """A student on the command line: `ROOT_ACCOUNT_UUID:USER_ID`."""

    name = "student"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Student:
        """Take the text apart."""
        if isinstance(value, Student):
            return value
        root_account_uuid, _, user_id = value.rpartition(":")
        if not root_account_uuid or not re.fullmatch(r"[0-9]{1,19}", user_id):
            self.fail(f"{value!r} is not ROOT_ACCOUNT_UUID:USER_ID, the latter of 1 to 19 digits", param, ctx)
        return Student(root_account_uuid, user_id)


@click.group(name="scores", cls=HelpfulGroup)
def command() -> None:
    """Look at what is known about a student."""


@command.command()
@click.argument("student", type=StudentType(), metavar="ROOT_ACCOUNT_UUID:USER_ID")
@click.option("--staff", is_flag=True, help="Include unposted and muted values.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@with_settings
def show(settings: Settings, student: Student, staff: bool, as_json: bool) -> None:
    """Print a student's scores in every course, as of a worker's last commit.

    Reads the table's changelog, so no worker needs to run.
    """
    window_ms = load_rules(settings.rules).default.score_drop.window
    state = _read(settings, student)
    if state is None:
        raise GradewatchError(
            f"Nothing is known about {student.root_account_uuid}:{student.user_id}: "
            "no record of this student has been committed."
        )
    if as_json:
        print_json(_document(state, student, window_ms, staff=staff))
    else:
        _print_tables(state, student, window_ms, staff=staff)


def _read(settings: Settings, student: Student) -> StudentState | None:
    with progress_bar("Reading the changelog") as progress:
        return run(read_state(settings, student.key, broker_timeout_seconds(settings), progress))


def _snapshot(
    state: StudentState, student: Student, course_id: str, window_ms: int
) -> StudentScoresSnapshot | None:
    return snapshot(state, student.root_account_uuid, student.user_id, course_id, window_ms)


def _hidden(state: StudentState, course_id: str, course: CourseScores) -> dict[str, Any]:
    """Return what of a course only staff may see."""
    newest = course.newest
    return {
        "closed": course.is_closed,
        "unposted_current_score": None if newest is None else newest.unposted_current,
        "unposted_final_score": None if newest is None else newest.unposted_final,
        "muted_submissions": [
            {
                "submission_id": submission.submission_id,
                "event_time": time_from_epoch_ms(submission.at),
                "score": submission.score,
                "points_possible": submission.points_possible,
                "grading_complete": submission.complete,
            }
            for submission in course.submissions
            if submission.muted
        ],
        "alerts_open": sorted(state.holds.courses.get(course_id, {}).keys() & STAFF_ONLY),
    }


def _open_across(state: StudentState, *, staff: bool) -> list[str]:
    """Return the rules that hold for the student over several courses."""
    return sorted(state.holds.student if staff else state.holds.student.keys() - STAFF_ONLY)


def _courses(state: StudentState) -> Iterator[tuple[str, CourseScores]]:
    """Yield the courses by number, not by spelling."""
    yield from sorted(state.scores.courses.items(), key=lambda item: int(item[0]))


def _document(state: StudentState, student: Student, window_ms: int, *, staff: bool) -> dict[str, Any]:
    courses = {}
    for course_id, course in _courses(state):
        shown = _snapshot(state, student, course_id, window_ms)
        if shown is None and not staff:
            continue
        courses[course_id] = {"snapshot": None if shown is None else shown.model_dump(mode="json")}
        if staff:
            courses[course_id]["staff"] = _hidden(state, course_id, course)
    return {**student._asdict(), "alerts_open": _open_across(state, staff=staff), "courses": courses}


def _print_tables(state: StudentState, student: Student, window_ms: int, *, staff: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text.assemble("Student ", (student.user_id, "bold"), " of ", student.root_account_uuid))
    if across := _open_across(state, staff=staff):
        out.print(Text(f"Alerts open across courses: {', '.join(across)}", "yellow"))
    shown_courses = 0
    for course_id, course in _courses(state):
        shown = _snapshot(state, student, course_id, window_ms)
        if shown is None and not staff:
            continue
        shown_courses += 1
        table = Table(title=f"Course {course_id}", title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        sections = [] if shown is None else list(_snapshot_sections(shown))
        if staff:
            sections.append(_hidden_section(_hidden(state, course_id, course)))
        for section in sections:
            for name, value in section.items():
                table.add_row(name, Text(value))
            table.add_section()
        out.print(table)
    if not shown_courses:
        out.print("Nothing is posted in any course." if not staff else "No course is kept.")


def _snapshot_sections(shown: StudentScoresSnapshot) -> Iterator[Mapping[str, str]]:
    yield {
        "Updated": shown.updated_at,
        "Current score": _number(shown.current_score),
        "Final score": _number(shown.final_score),
        "Override": _number(shown.override_score),
        "Effective final score": _number(shown.effective_final_score),
        "Custom status": shown.custom_status or NONE,
    }
    if shown.grading_periods:
        yield {
            f"Grading period {period}": f"override {_number(scores.override_score)}, "
            f"status {scores.custom_status or NONE}"
            for period, scores in shown.grading_periods.items()
        }
    window = shown.window
    yield {
        f"Last {window.days:g} days": f"{window.points} score{'' if window.points == 1 else 's'}",
        "First, last": f"{_number(window.first)}, {_number(window.last)}",
        "Lowest, highest, mean": f"{_number(window.min)}, {_number(window.max)}, {_number(window.mean)}",
        "Change": _number(window.change, "+.2f"),
        "Slope per day": _number(window.slope_per_day, "+.2f"),
    }
    yield {
        "Graded submissions": str(shown.assignments.graded),
        "Mean of the newest": _number(shown.assignments.mean_percent, percent=True),
        "Newest": _number(shown.assignments.last_percent, percent=True),
    }
    yield {"Alerts open": ", ".join(shown.alerts_open) or "none"}


def _hidden_section(hidden: Mapping[str, Any]) -> Mapping[str, str]:
    muted = [
        f"{submission['submission_id']}: {_number(submission['score'])} of "
        f"{_number(submission['points_possible'])}"
        for submission in hidden["muted_submissions"]
    ]
    return {
        "For staff: closed": "yes" if hidden["closed"] else "no",
        "Unposted current score": _number(hidden["unposted_current_score"]),
        "Unposted final score": _number(hidden["unposted_final_score"]),
        "Muted submissions": "\n".join(muted) or "none",
        "Staff alerts open": ", ".join(hidden["alerts_open"]) or "none",
    }


def _number(value: float | None, form: str = ".2f", *, percent: bool = False) -> str:
    if value is None:
        return NONE
    text = format(value, form)
    return f"{text} %" if percent else text
