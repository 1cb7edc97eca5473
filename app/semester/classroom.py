"""The state of one course while the semester goes on, and the announcements that changes of it bring."""

from random import Random
from typing import Final

from app.semester.agenda import Agenda
from app.semester.courses import Assignment, Course
from app.semester.envelope import Envelope
from app.semester.events import GradeEvents, Page
from app.semester.gradebook import CourseScores, Gradebook, Submission
from app.semester.options import Options
from app.semester.people import Person

_SLICE: Final = 100
"""Canvas recomputes a course's scores for at most so many students at a time."""

_ONE_STUDENT_JOB: Final = "Enrollment.recompute_final_score_in_singleton"
_COURSE_JOB: Final = "Course#recompute_student_scores_without_send_later"
_DELETION_JOB: Final = "SIS::EnrollmentImporter::Work#process_batch"


class Classroom:
    """Who is in a course, what they have done and what was announced of it.

    Students are named by their place in the course's list. Announcements are made at `agenda.now_ms`, of
    what holds then.
    """

    def __init__(
        self,
        options: Options,
        course: Course,
        agenda: Agenda,
        envelope: Envelope,
        events: GradeEvents,
        rng: Random,
    ) -> None:
        self.course = course
        self.agenda = agenda
        self.rng = rng
        self.since_ms = options.since_ms
        self.length_ms = options.until_ms - options.since_ms
        size = len(course.enrollments)
        self.book = Gradebook(size, course.weights)
        self.active = [True] * size
        self.posted = [not assignment.posted_by_hand for assignment in course.assignments]
        """Per assignment, whether what is graded next shows at once."""
        self._envelope = envelope
        self._events = events
        self._saved = [CourseScores()] * size
        self._by_id = sorted(range(size), key=lambda s: int(course.enrollments[s].student.person.user_id))

    # What the students do

    def draw_score(self, student: int, assignment: Assignment) -> float:
        """Draw a score, in quarters of a point, from what the student can do at the deadline."""
        enrollment = self.course.enrollments[student]
        hidden = enrollment.student
        gone = (assignment.due_ms - self.since_ms) / self.length_ms
        share = hidden.ability + hidden.drift * gone + assignment.difficulty
        if hidden.decline is not None and enrollment.declines:
            share -= hidden.decline.at(assignment.due_ms)
        share = min(1.0 + assignment.bonus, max(0.0, self.rng.gauss(share, hidden.spread)))
        if assignment.grading == "pass_fail":
            return assignment.points if share > 0.5 else 0.0
        return round(4 * share * (assignment.points or 3.0)) / 4  # extra credit: 3 points on top of nothing

    def skips(self, student: int, assignment: Assignment) -> bool:
        """Draw whether a student hands nothing in; more likely the further a decline has gone."""
        enrollment = self.course.enrollments[student]
        probability = enrollment.student.missing
        if enrollment.student.decline is not None and enrollment.declines:
            probability += 0.4 * enrollment.student.decline.at(assignment.due_ms)
        return self.rng.random() < probability

    # What the teachers do

    def teacher_of(self, student: int) -> Person:
        """Give the teacher who grades a student."""
        return self.course.teachers[student % len(self.course.teachers)]

    def graded(self, assignment: Assignment) -> list[tuple[int, Submission]]:
        """Give the active students whose work for a published assignment has a score."""
        return [
            (student, submission)
            for student, submission in enumerate(self.book.submissions(assignment.index))
            if submission.score is not None and self.active[student]
        ]

    def set_score(
        self, student: int, assignment: Assignment, score: float | None, *, complete: bool = True
    ) -> None:
        """Make a new version of a submission; one with the same score keeps the last step in view."""
        before = self.book.submission(student, assignment.index)
        previous = before.previous_score if before.score == score else before.score
        posted = before.posted or self.posted[assignment.index]
        self.replace(student, assignment, Submission(score, previous, complete, posted))

    def replace(self, student: int, assignment: Assignment, submission: Submission) -> None:
        """Put a submission's new state into the gradebook; nobody is told."""
        self.book.change(student, assignment.index, assignment.group, assignment.points, submission)

    def saved_final_score(self, student: int) -> float:
        """Give the final score as last computed."""
        return self._saved[student].final or 0.0

    # Course scores, which background jobs compute

    def recompute_soon(self, student: int) -> None:
        """Queue the job that computes one student's scores: seconds later, minutes when jobs pile up."""
        lag_ms = 1500 + 1000 * self.rng.expovariate(1 / 10)
        if self.rng.random() < 0.02:
            lag_ms *= 15
        self.agenda.at(self.agenda.now_ms + lag_ms, self._recompute, student, None, _ONE_STUDENT_JOB)

    def recompute_course_soon(self) -> None:
        """Queue the job that computes everybody's scores, a hundred students at a time."""
        start_ms = self.agenda.now_ms + self.rng.uniform(3000, 40_000)
        job_id = self._envelope.new_job_id()
        for nth, student in enumerate(self._by_id):
            at_ms = start_ms + nth // _SLICE * 2000 + nth % _SLICE * 7
            self.agenda.at(at_ms, self._recompute, student, job_id, _COURSE_JOB)

    def _recompute(self, student: int, job_id: str | None, job_tag: str) -> None:
        """Compute a student's scores and announce them if one of the four changed."""
        old, new = self._saved[student], self.book.scores(student)
        if new == old or not self.active[student]:
            return
        self._saved[student] = new
        self._events.course_grade_change(
            self.agenda.now_ms,
            self.course.enrollments[student],
            old,
            new,
            job_id or self._envelope.new_job_id(),
            job_tag,
        )

    # Who leaves

    def leave(self, student: int) -> None:
        """Delete an enrollment and with it the score row."""
        if self.active[student]:
            self._announce_row(student, self._envelope.new_job_id(), deleted=True)
            self.active[student] = False

    def come_back(self, student: int) -> None:
        """Restore an enrollment with the scores it had."""
        self.active[student] = True
        self._announce_row(student, self._envelope.new_job_id(), deleted=False)
        self.recompute_soon(student)

    def close(self) -> None:
        """Delete the course: all score rows by one job."""
        job_id = self._envelope.new_job_id()
        for nth, student in enumerate(self._by_id):
            self.agenda.at(self.agenda.now_ms + 9 * nth, self._delete_row, student, job_id)

    def _delete_row(self, student: int, job_id: str) -> None:
        if self.active[student]:
            self._announce_row(student, job_id, deleted=True)
        self.active[student] = False

    def _announce_row(self, student: int, job_id: str, *, deleted: bool) -> None:
        saved = self._saved[student]
        enrollment = self.course.enrollments[student]
        self._events.course_grade_change(
            self.agenda.now_ms, enrollment, saved, saved, job_id, _DELETION_JOB, deleted=deleted
        )

    # Announcements of submissions, overrides and statuses

    def announce(
        self, student: int, assignment: Assignment, actor: Person, page: Page, grader: Person | None
    ) -> None:
        """Announce a submission as it is."""
        self._events.grade_change(
            self.agenda.now_ms,
            self.course.enrollments[student],
            student,
            assignment,
            self.book.submission(student, assignment.index),
            actor=actor,
            page=page,
            grader=grader,
        )

    def announce_points(self, student: int, assignment: Assignment, old_points: float) -> None:
        """Announce that a submission's possible points were edited."""
        teacher = self.course.teachers[0]
        self._events.grade_change(
            self.agenda.now_ms,
            self.course.enrollments[student],
            student,
            assignment,
            self.book.submission(student, assignment.index),
            actor=teacher,
            page=Page.ASSIGNMENT,
            grader=teacher,
            old_points=old_points,
        )

    def announce_override(self, student: int, row_id: int, new: float | None, old: float | None) -> None:
        """Announce an override for one of the student's sections."""
        self._events.grade_override(
            self.agenda.now_ms, self.course.enrollments[student], row_id, self.teacher_of(student), new, old
        )

    def announce_status(self, student: int, new: int, old: int) -> None:
        """Announce a custom status of the final grade."""
        enrollment = self.course.enrollments[student]
        self._events.final_grade_custom_status(
            self.agenda.now_ms, enrollment, enrollment.row_ids[0], self.teacher_of(student), new, old
        )
