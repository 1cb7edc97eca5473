"""The four grade events of a course: which facts of the gradebook go into which field."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from app.semester.courses import Assignment, Course, Enrollment
from app.semester.envelope import (
    Envelope,
    Fields,
    GradeEventName,
    RawEvent,
    Writer,
    second_text,
    time_text,
    without_nulls,
)
from app.semester.gradebook import CourseScores, Submission
from app.semester.options import DAY_MS
from app.semester.people import Person, global_id

STATUSES: Final = ("", "Incomplete", "Withdrawn", "Audit", "In progress")
"""Custom statuses of final grades by id; 0 is none, which this event writes as an empty text."""

_LETTERS: Final = (
    (0.93, "A", "4.0"),
    (0.90, "A-", "3.7"),
    (0.87, "B+", "3.3"),
    (0.83, "B", "3.0"),
    (0.80, "B-", "2.7"),
    (0.77, "C+", "2.3"),
    (0.73, "C", "2.0"),
    (0.70, "C-", "1.7"),
    (0.60, "D", "1.0"),
)


class Page(Enum):
    """Where a grade is given; decides method, URL and referrer of the request."""

    GRADEBOOK = "gradebook"
    SPEED_GRADER = "speed grader"
    QUIZ = "quiz"
    POST_GRADES = "post grades"
    ASSIGNMENT = "assignment"


def grade_text(grading: str, score: float | None, points: float) -> str | None:
    """Show a score as its assignment does; None where there is no grade."""
    if score is None:
        return None
    share = score / points if points else 1.0
    match grading:
        case "percent":
            return f"{round(100 * share, 2):g}%"
        case "pass_fail":
            return "complete" if score > 0 else "incomplete"
        case "letter_grade":
            return next((letter for least, letter, _ in _LETTERS if share >= least), "F")
        case "gpa_scale":
            return next((gpa for least, _, gpa in _LETTERS if share >= least), "0.0")
        case _:
            return f"{score:g}"


class GradeEvents:
    """Writes the grade events of one course and hands them on, each at the time it is given."""

    __slots__ = ("_course", "_emit", "_envelope", "_row_created", "_writer")

    def __init__(
        self,
        course: Course,
        since_ms: int,
        envelope: Envelope,
        writer: Writer,
        emit: Callable[[RawEvent], None],
    ) -> None:
        self._course = course
        self._envelope = envelope
        self._writer = writer
        self._emit = emit
        self._row_created = second_text(since_ms - 3 * DAY_MS + course.local_id % 3600 * 1000)

    def grade_change(
        self,
        time_ms: int,
        enrollment: Enrollment,
        place: int,
        assignment: Assignment,
        submission: Submission,
        *,
        actor: Person,
        page: Page,
        grader: Person | None,
        old_points: float | None = None,
    ) -> None:
        """Announce a submission's state.

        Its old score is that of the version before the last one, so that posting states an old step again.
        `old_points` are the possible points before they were edited.
        """
        person = enrollment.student.person
        before_points = assignment.points if old_points is None else old_points
        before = submission.previous_score
        metadata = self._request("grade_change", time_ms, person, assignment, actor, page)
        body = without_nulls(
            {
                "submission_id": global_id(assignment.first_submission_id + place),
                "assignment_id": global_id(assignment.local_id),
                "assignment_name": assignment.name,
                "grade": grade_text(assignment.grading, submission.score, assignment.points),
                "old_grade": grade_text(assignment.grading, before, before_points),
                "score": submission.score,
                "old_score": before,
                "points_possible": assignment.points,
                "old_points_possible": before_points,
                "grader_id": None if grader is None else grader.global_id,
                "student_id": person.global_id,
                "student_sis_id": person.sis_id,
                "user_id": person.global_id,
                "grading_complete": submission.complete,
                "muted": not submission.posted,
            }
        )
        self._send("grade_change", time_ms, enrollment, metadata, body)

    def course_grade_change(
        self,
        time_ms: int,
        enrollment: Enrollment,
        old: CourseScores,
        new: CourseScores,
        job_id: str,
        job_tag: str,
        *,
        deleted: bool = False,
    ) -> None:
        """Announce a student's course scores, once, however many sections the student is in."""
        metadata = self._envelope.job("course_grade_change", time_ms, self._course, job_id, job_tag)
        body = without_nulls(
            {
                "user_id": enrollment.student.person.user_id,
                "course_id": str(self._course.local_id),
                "workflow_state": "deleted" if deleted else "active",
                "created_at": self._row_created,
                "updated_at": second_text(time_ms),
                "current_score": new.current,
                "old_current_score": old.current,
                "final_score": new.final,
                "old_final_score": old.final,
                "unposted_current_score": new.unposted_current,
                "old_unposted_current_score": old.unposted_current,
                "unposted_final_score": new.unposted_final,
                "old_unposted_final_score": old.unposted_final,
            }
        )
        self._send("course_grade_change", time_ms, enrollment, metadata, body)

    def grade_override(
        self,
        time_ms: int,
        enrollment: Enrollment,
        row_id: int,
        actor: Person,
        override: float | None,
        old_override: float | None,
    ) -> None:
        """Announce the override of a final score, or its removal, for one of the student's sections."""
        path = f"/courses/{self._course.local_id}/gradebook"
        metadata = self._envelope.request(
            "grade_override", time_ms, self._course, actor, "POST", "/api/graphql", path
        )
        body = without_nulls(
            {
                **self._row(enrollment, row_id),
                "override_score": override,
                "old_override_score": old_override,
                "updated_at": time_text(time_ms),
            }
        )
        self._send("grade_override", time_ms, enrollment, metadata, body)

    def final_grade_custom_status(
        self, time_ms: int, enrollment: Enrollment, row_id: int, actor: Person, status: int, old_status: int
    ) -> None:
        """Announce a final grade's custom status; statuses are indexes of `STATUSES`."""
        path = f"/courses/{self._course.local_id}/gradebook"
        metadata = self._envelope.request(
            "final_grade_custom_status", time_ms, self._course, actor, "POST", "/api/graphql", path
        )
        body: Fields = {
            **self._row(enrollment, row_id),
            "override_status": STATUSES[status],
            "override_status_id": str(status) if status else "",
            "old_override_status": STATUSES[old_status],
            "old_override_status_id": str(old_status) if old_status else "",
            "updated_at": second_text(time_ms),
        }
        self._send("final_grade_custom_status", time_ms, enrollment, metadata, body)

    def _row(self, enrollment: Enrollment, row_id: int) -> Fields:
        return {
            "score_id": str(row_id),
            "enrollment_id": str(row_id),
            "user_id": enrollment.student.person.user_id,
            "course_id": str(self._course.local_id),
        }

    def _request(
        self, name: str, time_ms: int, student: Person, assignment: Assignment, actor: Person, page: Page
    ) -> Fields:
        course = f"/courses/{self._course.local_id}"
        work = f"{course}/assignments/{assignment.local_id}"
        match page:
            case Page.GRADEBOOK:
                method = "PUT"
                path = f"/api/v1{work}/submissions/{student.user_id}?include%5B%5D=visibility"
                referrer = f"{course}/gradebook"
            case Page.SPEED_GRADER:
                method = "POST"
                path = f"{course}/gradebook/update_submission"
                referrer = (
                    f"{course}/gradebook/speed_grader?assignment_id={assignment.local_id}"
                    f"&student_id={student.user_id}"
                )
            case Page.QUIZ:
                method = "POST"
                path = f"{course}/quizzes/{assignment.local_id}/submissions?user_id={student.user_id}"
                referrer = f"{course}/quizzes/{assignment.local_id}/take"
            case Page.POST_GRADES:
                method, path, referrer = "POST", "/api/graphql", f"{course}/gradebook"
            case Page.ASSIGNMENT:
                method, path, referrer = "PUT", f"/api/v1{work}", f"{work}/edit"
        return self._envelope.request(name, time_ms, self._course, actor, method, path, referrer)

    def _send(
        self, name: GradeEventName, time_ms: int, enrollment: Enrollment, metadata: Fields, body: Fields
    ) -> None:
        value = self._writer.write(name, metadata, body)
        self._emit(RawEvent(value, time_ms, enrollment.student.key, name, name))
