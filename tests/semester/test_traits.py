"""Everything that makes Canvas hard to read is in a semester."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from app.semester.people import HOME_SHARD_OF_VISITORS
from tests.semester.conftest import Courses
from tests.semester.views import Parsed, bodies, by_submission, canonical, named


def has_text(field: str, text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: body.get(field) == text


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("grade_change", lambda body: "grader_id" not in body),
        ("grade_change", lambda body: not body["grading_complete"] and "score" in body),
        ("grade_change", lambda body: "score" not in body and body["grading_complete"]),
        ("grade_change", lambda body: "score" not in body and not body["grading_complete"]),
        ("grade_change", lambda body: "old_score" in body and "score" in body),
        ("grade_change", lambda body: body["muted"]),
        ("grade_change", lambda body: body["points_possible"] != body["old_points_possible"]),
        ("grade_change", lambda body: body["points_possible"] == 0),
        ("grade_change", lambda body: body.get("score", 0.0) > body["points_possible"] > 0),
        ("grade_change", lambda body: "student_sis_id" not in body),
        ("grade_change", has_text("grade", "B+")),
        ("grade_change", has_text("grade", "complete")),
        ("grade_change", has_text("grade", "3.7")),
        ("grade_change", lambda body: body.get("grade", "").endswith("%")),
        ("course_grade_change", lambda body: "old_current_score" not in body),
        ("course_grade_change", lambda body: body["workflow_state"] == "deleted"),
        ("course_grade_change", lambda body: body["user_id"].startswith(str(HOME_SHARD_OF_VISITORS))),
        ("course_grade_change", lambda body: body.get("current_score") != body.get("unposted_current_score")),
        ("grade_override", lambda body: "override_score" not in body),
        ("grade_override", lambda body: "old_override_score" not in body),
        ("final_grade_custom_status", has_text("old_override_status", "")),
        ("final_grade_custom_status", has_text("override_status", "")),
    ],
)
def test_the_semester_has_every_kind_of_event(
    parsed: Parsed, name: str, what: Callable[[dict[str, Any]], bool]
) -> None:
    assert any(what(body) for body in bodies(parsed, name))


def test_a_quiz_is_scored_in_the_students_name(parsed: Parsed) -> None:
    scored = [event for event in named(parsed, "grade_change") if "grader_id" not in event["body"]]

    assert scored
    assert all(event["metadata"]["user_id"] == event["body"]["user_id"] for event in scored)


def test_a_quiz_with_essay_questions_is_completed_by_a_teacher(parsed: Parsed) -> None:
    histories = [h for h in by_submission(parsed).values() if not h[0]["grading_complete"]]

    completed = [h for h in histories if len(h) > 1 and h[1]["grading_complete"] and "grader_id" in h[1]]

    assert "grader_id" not in histories[0][0]
    assert len(completed) > len(histories) / 2


def test_posting_states_the_last_step_again_unmuted(parsed: Parsed) -> None:
    posted = [
        (before, after)
        for history in by_submission(parsed).values()
        for before, after in pairwise(history)
        if before["muted"] and not after["muted"] and before.get("score") == after.get("score")
    ]

    assert len(posted) > 100
    assert all(after.get("old_score") == before.get("old_score") for before, after in posted)


def test_what_is_posted_stays_so(parsed: Parsed) -> None:
    for history in by_submission(parsed).values():
        muted = [body["muted"] for body in history]
        assert muted == sorted(muted, reverse=True)


def test_the_missing_policy_lowers_scores_without_a_grade_change(parsed: Parsed, courses: Courses) -> None:
    with_policy = {str(course.local_id) for course in courses if course.missing_policy}
    graded: dict[tuple[str, str], datetime] = {}
    unexplained = set()
    for event in parsed:
        metadata, body = event["metadata"], event["body"]
        at = datetime.fromisoformat(metadata["event_time"])
        if metadata["event_name"] == "grade_change":
            graded[metadata["context_id"], canonical(body["user_id"])] = at
        elif {"current_score", "old_current_score"} <= body.keys():
            last = graded.get((metadata["context_id"], body["user_id"]), datetime.min.replace(tzinfo=UTC))
            if body["current_score"] < body["old_current_score"] and at - last > timedelta(hours=1):
                unexplained.add(body["course_id"])

    assert unexplained == with_policy


def test_a_course_recompute_is_one_job_in_slices_of_a_hundred(parsed: Parsed) -> None:
    jobs: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for event in named(parsed, "course_grade_change"):
        if event["metadata"]["job_tag"].startswith("Course#"):
            at = datetime.fromisoformat(event["metadata"]["event_time"]).timestamp()
            jobs[event["metadata"]["job_id"]].append((at, int(event["body"]["user_id"])))

    largest = max(jobs.values(), key=len)
    gaps = [after - before for (before, _), (after, _) in pairwise(largest)]

    assert len(largest) > 100
    assert [user for _, user in largest] == sorted(user for _, user in largest)
    assert sum(gap > 1 for gap in gaps) == 1
    assert largest[-1][0] - largest[0][0] < 10


def test_an_override_is_sent_for_every_section(parsed: Parsed) -> None:
    rows = defaultdict(set)
    for body in bodies(parsed, "grade_override"):
        rows[body["user_id"], body["course_id"], body.get("override_score")].add(body["enrollment_id"])

    assert max(map(len, rows.values())) == 2


def test_group_work_is_graded_for_all_members_at_once(parsed: Parsed) -> None:
    at_once = Counter(
        (event["metadata"]["event_time"], event["body"]["assignment_id"], event["body"].get("score"))
        for event in named(parsed, "grade_change")
        if event["body"]["assignment_name"].startswith("Project")
    )

    assert at_once.most_common(1)[0][1] == 4
