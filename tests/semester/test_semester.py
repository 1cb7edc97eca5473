"""A semester as a whole: whether it is the same again, can be read and adds up."""

import os
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from app.semester import Options, RawEvent, Semester
from app.semester.courses import Course
from app.semester.envelope import check_against_type
from app.semester.people import HOME_SHARD_OF_VISITORS, SHARD
from models.canvas import CANVAS_EVENT_NAMES, GRADE_EVENT_NAMES
from models.grades import Ignored, Rejected, read
from models.records import MisnamedGradeOverride
from tests.semester.conftest import Courses
from tests.semester.views import Parsed, bodies, by_submission, canonical

_DIGEST = """
import hashlib, sys
from app.semester import Options, Semester
digest = hashlib.sha256()
options = Options(seed=3, events=3000, duplicates=0.1, disorder_seconds=600, poison=0.02)
for event in Semester(options).events():
    digest.update(repr(event).encode())
print(digest.hexdigest())
"""


# The same again


def test_the_same_options_give_the_same_events() -> None:
    options = Options(seed=5, events=2000, duplicates=0.1, disorder_seconds=900, poison=0.05)
    semester = Semester(options)

    first = list(semester.events())

    assert first == list(semester.events()) == list(Semester(options).events())
    assert len(first) == 2000


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_is_another_school() -> None:
    one, other = (Semester(Options(seed=seed, events=50)) for seed in (1, 2))

    assert one.school.root_account_uuid != other.school.root_account_uuid
    assert not {event.value for event in one.events()} & {event.value for event in other.events()}


def test_grade_events_are_the_same_whatever_goes_with_them() -> None:
    def grade_events(**options: float) -> list[RawEvent]:
        asked = Options(seed=2, students=15, weeks=4, **options)  # type: ignore[arg-type]
        kinds = {"other", "poison"}
        return [e for e in Semester(asked).events() if e.kind not in kinds and not e.repeated]

    assert grade_events(other_share=0.0) == grade_events(other_share=0.7, duplicates=0.2, poison=0.1)


# Readable


def test_every_event_is_what_the_types_of_canvas_write(parsed: Parsed) -> None:
    for event in parsed:
        check_against_type(event["metadata"]["event_name"], event)


def test_every_event_is_read_as_what_it_is(events: list[RawEvent], semester: Semester) -> None:
    for event in events:
        record = read(event.value, semester.options.until_ms)
        assert not isinstance(record, Rejected | MisnamedGradeOverride), record
        if event.kind == "other":
            assert record == Ignored(event.name)
        else:
            assert not isinstance(record, Ignored)
            assert (record.type, record.key, record.event_time_ms) == (
                event.kind,
                event.student,
                event.event_time_ms,
            )


def test_events_come_in_order_within_the_semester(events: list[RawEvent], semester: Semester) -> None:
    times = [event.event_time_ms for event in events]

    assert times == sorted(times)
    assert semester.options.since_ms <= times[0]
    assert times[-1] < semester.options.until_ms
    assert times[-1] > semester.options.until_ms - 86_400_000


def test_an_event_of_each_kind_and_an_other_of_each_name_is_sent() -> None:
    firehose = Semester(Options(seed=1, students=60, other_share=0.85)).events()

    names = {event.name for event in firehose}

    assert names == CANVAS_EVENT_NAMES


def test_grade_events_are_as_large_as_those_of_canvas(events: list[RawEvent]) -> None:
    sizes = [len(event.value or b"") for event in events if event.kind == "grade_change"]

    assert 1300 < sum(sizes) / len(sizes) < 1600


def test_jobs_say_nothing_about_a_user_and_requests_nothing_about_a_job(parsed: Parsed) -> None:
    for event in parsed:
        metadata = event["metadata"]
        request = {"user_id", "user_login", "client_ip", "session_id", "url", "referrer"} & metadata.keys()
        job = {"job_id", "job_tag"} & metadata.keys()
        assert bool(request) != bool(job)
        if metadata["event_name"] == "course_grade_change":
            assert job == {"job_id", "job_tag"}


def test_ids_are_global_where_canvas_sends_them_so(parsed: Parsed) -> None:
    def is_global(canvas_id: str) -> bool:
        return int(canvas_id) // 10**13 in (SHARD, HOME_SHARD_OF_VISITORS)

    for event in parsed:
        metadata, body, name = event["metadata"], event["body"], event["metadata"]["event_name"]
        assert int(metadata["context_id"]) > 2**53
        if name == "grade_change":
            assert all(is_global(body[field]) for field in ("submission_id", "assignment_id", "user_id"))
            assert body["student_id"] == body["user_id"]
        elif name in GRADE_EVENT_NAMES:
            assert metadata["context_id"] == str(SHARD * 10**13 + int(body["course_id"]))
            assert not is_global(body["course_id"])
            assert body["user_id"][:4] == str(HOME_SHARD_OF_VISITORS) or not is_global(body["user_id"])
            assert None not in body.values()


# It adds up


def test_course_events_follow_each_other_without_a_gap(parsed: Parsed) -> None:
    scores = ("current_score", "final_score", "unposted_current_score", "unposted_final_score")
    known: dict[tuple[str, str], list[Any]] = {}
    for body in bodies(parsed, "course_grade_change"):
        key = (body["user_id"], body["course_id"])
        old, new = [body.get(f"old_{score}") for score in scores], [body.get(score) for score in scores]
        assert old == known.get(key, [None, 0.0, None, 0.0])
        assert body["workflow_state"] == "deleted" or old != new or key in known
        assert all(score is None or score == round(score, 2) for score in new)
        known[key] = new


def test_submissions_events_follow_each_other_without_a_gap(parsed: Parsed, courses: Courses) -> None:
    with_policy = {
        str(SHARD * 10**13 + assignment.local_id)
        for course in courses
        if course.missing_policy
        for assignment in course.assignments
    }
    for history in by_submission(parsed).values():
        for before, after in pairwise(history):
            assert after["old_points_possible"] == before["points_possible"]
            known = {before.get("score"), before.get("old_score")}
            if before["assignment_id"] in with_policy:
                known.add(0.0)  # given without an event
            assert after.get("old_score") in known


def test_current_scores_follow_from_the_submissions_events(courses: Courses, parsed: Parsed) -> None:
    plain = [course for course in courses if len(course.weights) == 1 and not course.missing_policy]

    assert sum(current_scores_checked(course, parsed) for course in plain) > 50


def current_scores_checked(course: Course, parsed: Parsed) -> int:
    mine = [event for event in parsed if event["metadata"]["context_id"] == course.global_id]
    work: dict[str, dict[str, Any]] = defaultdict(dict)
    for body in bodies(mine, "grade_change"):
        user_id = canonical(body["user_id"])
        work[user_id][body["submission_id"]] = body
    newest = {canonical(body["user_id"]): body for body in bodies(mine, "course_grade_change")}
    checked = 0
    for user_id, scores in newest.items():
        if scores["workflow_state"] == "deleted":
            continue
        graded = [
            body
            for body in work[user_id].values()
            if "score" in body and body["grading_complete"] and not body["muted"]
        ]
        possible = sum(body["points_possible"] for body in graded)
        assert scores["current_score"] == pytest.approx(
            100 * sum(body["score"] for body in graded) / possible, abs=0.006
        )
        checked += 1
    return checked


def test_course_scores_come_seconds_to_minutes_after_the_grade(parsed: Parsed) -> None:
    lags = []
    graded: dict[tuple[str, str], float] = {}
    for event in parsed:
        metadata, body = event["metadata"], event["body"]
        at = datetime.fromisoformat(metadata["event_time"]).timestamp()
        if metadata["event_name"] == "grade_change":
            graded[metadata["context_id"], canonical(body["user_id"])] = at
        elif metadata.get("job_tag", "").startswith("Enrollment.recompute"):
            lags.append(at - graded[metadata["context_id"], canonical(body["user_id"])])

    assert min(lags) >= 0.0
    assert 2 < sorted(lags)[len(lags) // 2] < 30
    assert max(lags) > 60
