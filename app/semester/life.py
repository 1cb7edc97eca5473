"""What happens in one course from its first day to its last."""

from collections.abc import Callable, Sequence
from typing import Final

from app.semester.classroom import Classroom
from app.semester.courses import LOCAL_MIDNIGHT_MS, Assignment, Kind
from app.semester.events import STATUSES, Page
from app.semester.gradebook import UNTOUCHED, Submission
from app.semester.options import DAY_MS, WEEK_MS

_HOUR_MS: Final = 3_600_000
_SESSION: Final = 60
"""Pieces of work that a teacher grades at one sitting."""


class CourseLife:
    """Plans what students, teachers and Canvas do in a course; each step plans those that follow from it.

    Every method with a leading underscore that is put on the agenda happens at `agenda.now_ms`. What is
    planned for a student who has left doesn't happen.
    """

    def __init__(self, room: Classroom) -> None:
        self._room = room
        self._course = room.course
        self._at = room.agenda.at
        self._rng = room.rng
        # A short semester is graded in a hurry: a "day" shrinks with it.
        self._day_ms = DAY_MS * min(1.0, room.length_ms / (8 * WEEK_MS))
        size = len(room.course.enrollments)
        self._overrides: list[float | None] = [None] * size
        self._statuses = [0] * size

    def begin(self) -> None:
        """Plan the semester."""
        room, at, rng = self._room, self._at, self._rng
        since_ms, length_ms = room.since_ms, room.length_ms
        for assignment in self._course.assignments:
            if assignment.publish_ms > since_ms:
                at(assignment.publish_ms, self._publish, assignment)
            else:
                room.book.publish(assignment.index, assignment.group, assignment.points)
            if assignment.kind.is_quiz:
                at(assignment.due_ms - 2 * self._day_ms, self._open_quiz, assignment)
            at(assignment.due_ms, self._collect, assignment)
        editable = [a for a in self._course.assignments if a.grading != "pass_fail" and a.points > 0]
        if editable and rng.random() < 0.4:
            edited = rng.choice(editable)
            at(edited.due_ms + rng.uniform(4, 9) * self._day_ms, self._edit_points, edited)
        for student in range(len(room.active)):
            if rng.random() < 0.015:
                at(since_ms + rng.uniform(0.1, 0.6) * length_ms, self._leave, student)
            if self._course.allows_overrides:
                if rng.random() < 0.08:
                    at(since_ms + length_ms - rng.uniform(1, 6) * self._day_ms, self._override, student)
                elif rng.random() < 0.02:  # too early: far from the final score, which still counts zeros
                    at(since_ms + rng.uniform(0.1, 0.8) * length_ms, self._override, student)
            if rng.random() < 0.02:
                at(since_ms + rng.uniform(0.1, 0.99) * length_ms, self._set_status, student)
        if rng.random() < 0.02:
            at(since_ms + rng.uniform(0.4, 0.95) * length_ms, room.close)

    # Handing in

    def _publish(self, assignment: Assignment) -> None:
        """Show a late idea: final scores fall, because nobody has points for it yet."""
        self._room.book.publish(assignment.index, assignment.group, assignment.points)
        self._room.recompute_course_soon()

    def _open_quiz(self, quiz: Assignment) -> None:
        """Let the students take a classic quiz: each at a time of their own, most of them late."""
        now_ms = self._room.agenda.now_ms
        for student in range(len(self._room.active)):
            if not self._room.skips(student, quiz):
                gone = max(self._rng.random(), self._rng.random())
                self._at(now_ms + (quiz.due_ms - now_ms) * gone, self._take_quiz, student, quiz)

    def _take_quiz(self, student: int, quiz: Assignment) -> None:
        """Canvas scores a quiz as it is handed in; essay questions are left to a teacher."""
        room = self._room
        if not room.active[student]:
            return
        score = room.draw_score(student, quiz)
        complete = quiz.kind is Kind.QUIZ
        if not complete:
            score = round(2.4 * score) / 4  # six tenths of it, in quarters
        room.set_score(student, quiz, score, complete=complete)
        room.announce(student, quiz, self._course.enrollments[student].student.person, Page.QUIZ, None)
        room.recompute_soon(student)

    def _collect(self, assignment: Assignment) -> None:
        """Stop taking work at the deadline, deal with what is missing and plan the grading."""
        rng, day_ms = self._rng, self._day_ms
        handed_in, missing, late = self._sort_out(assignment)
        grading_ms = self._working_hours(assignment.due_ms + rng.uniform(0.5, 4) * day_ms)
        if self._course.missing_policy and assignment.points > 0:
            minutes = rng.uniform(5, 50)
            self._at(assignment.due_ms + minutes * 60_000, self._zero_all, missing + late, assignment)
        else:
            for student in missing:
                outcome = self._excuse if rng.random() < 0.15 else self._give_zero
                self._at(grading_ms + rng.uniform(1, 3) * day_ms, outcome, student, assignment)
        if assignment.kind is Kind.QUIZ:
            if rng.random() < 0.06:
                self._at(grading_ms, self._regrade_question, assignment)
            return
        done_ms = self._plan_grading(grading_ms, handed_in, assignment)
        for student in late:
            self._at(done_ms + rng.uniform(0, 3) * day_ms, self._grade, (student,), assignment)
        if assignment.posted_by_hand:
            self._at(done_ms + rng.uniform(0.2, 4) * day_ms, self._post, assignment)

    def _sort_out(self, assignment: Assignment) -> tuple[list[int], list[int], list[int]]:
        """Tell apart whose work is there, is missing for good and will come late."""
        handed_in: list[int] = []
        missing: list[int] = []
        late: list[int] = []
        for student, submission in enumerate(self._room.book.submissions(assignment.index)):
            if not self._room.active[student]:
                continue
            if assignment.kind.is_quiz:
                (missing if submission is UNTOUCHED else handed_in).append(student)
            elif self._room.skips(student, assignment):
                (late if self._rng.random() < 0.5 else missing).append(student)
            else:
                handed_in.append(student)
        return handed_in, missing, late

    # Grading

    def _plan_grading(self, from_ms: float, students: Sequence[int], assignment: Assignment) -> float:
        """Plan the teachers' sessions; give the time of the last piece of work."""
        teachers = len(self._course.teachers)
        at_once = 4 if assignment.kind is Kind.PROJECT and self._rng.random() < 0.5 else 1  # group work
        last_ms = from_ms
        for nth in range(teachers):
            now_ms, in_session = from_ms, 0
            mine = students[nth::teachers]
            for first in range(0, len(mine), at_once):
                now_ms += 12_000 + 1000 * self._rng.expovariate(1 / 40)
                in_session += 1
                if in_session == _SESSION:
                    now_ms, in_session = self._working_hours(now_ms + self._day_ms), 0
                self._at(now_ms, self._grade, mine[first : first + at_once], assignment)
            last_ms = max(last_ms, now_ms)
        return last_ms

    def _grade(self, students: Sequence[int], assignment: Assignment) -> None:
        """Grade one student's work, or a group's: then each member gets the same score at the same time."""
        room = self._room
        score: float | None = None
        page = self._rng.choice((Page.GRADEBOOK, Page.SPEED_GRADER))
        for student in students:
            if not room.active[student]:
                continue
            if score is None:
                score = room.draw_score(student, assignment)
            room.set_score(student, assignment, score)
            grader = room.teacher_of(student)
            room.announce(student, assignment, grader, page, grader)
            room.recompute_soon(student)
            luck = self._rng.random()
            if luck < 0.03:
                self._later(0.1, 6, self._regrade, student, assignment)
            elif luck < 0.035:
                self._at(room.agenda.now_ms + 60_000, self._clear, student, assignment)

    def _teacher_sets(self, student: int, assignment: Assignment, submission: Submission) -> None:
        self._room.replace(student, assignment, submission)
        grader = self._room.teacher_of(student)
        self._room.announce(student, assignment, grader, Page.GRADEBOOK, grader)
        self._room.recompute_soon(student)

    def _regrade(self, student: int, assignment: Assignment) -> None:
        """Change a score after a second look, mostly to the better."""
        before = self._room.book.submission(student, assignment.index)
        if not self._room.active[student] or before.score is None or assignment.grading == "pass_fail":
            return
        score = max(0.0, before.score + round(4 * self._rng.gauss(0.05, 0.05) * assignment.points) / 4)
        if score != before.score:
            after = before._replace(score=score, previous_score=before.score)
            self._teacher_sets(student, assignment, after)

    def _clear(self, student: int, assignment: Assignment) -> None:
        """Take a score back that went to the wrong student, and give another one later."""
        before = self._room.book.submission(student, assignment.index)
        if self._room.active[student]:
            after = before._replace(score=None, previous_score=before.score, complete=False)
            self._teacher_sets(student, assignment, after)
            self._later(0.02, 0.5, self._grade, (student,), assignment)

    def _excuse(self, student: int, assignment: Assignment) -> None:
        """Excuse a student from work: the event has neither grade nor score, and doesn't say why."""
        before = self._room.book.submission(student, assignment.index)
        if self._room.active[student]:
            posted = self._room.posted[assignment.index]
            self._teacher_sets(student, assignment, Submission(None, before.score, True, posted, True))

    def _give_zero(self, student: int, assignment: Assignment) -> None:
        """Have a teacher give zero for work that was not handed in."""
        if self._room.active[student] and self._room.book.submission(student, assignment.index) is UNTOUCHED:
            posted = self._room.posted[assignment.index]
            self._teacher_sets(student, assignment, Submission(0.0, None, True, posted))

    def _zero_all(self, students: Sequence[int], assignment: Assignment) -> None:
        """Let Canvas give zero for missing work in bulk: no grade_change is sent, only scores change."""
        for student in students:
            if self._room.active[student]:
                self._room.set_score(student, assignment, 0.0)
        self._room.recompute_course_soon()

    # Changes for a whole class: one grade_change per graded submission, then everybody's course scores

    def _regrade_question(self, quiz: Assignment) -> None:
        """Give everybody the points of a broken question."""
        for student, submission in self._room.graded(quiz):
            score = min(quiz.points, (submission.score or 0.0) + 1.0)
            self._room.set_score(student, quiz, score, complete=submission.complete)
        self._announce_all(quiz, Page.GRADEBOOK)

    def _post(self, assignment: Assignment) -> None:
        """Show hidden scores: the events repeat the last step of each submission, unmuted."""
        self._room.posted[assignment.index] = True
        for student, submission in self._room.graded(assignment):
            self._room.replace(student, assignment, submission._replace(posted=True))
        self._announce_all(assignment, Page.POST_GRADES)

    def _announce_all(self, assignment: Assignment, page: Page) -> None:
        now_ms, teacher = self._room.agenda.now_ms, self._course.teachers[0]
        for nth, (student, _) in enumerate(self._room.graded(assignment)):
            self._at(now_ms + 15 * nth, self._room.announce, student, assignment, teacher, page, teacher)
        self._room.recompute_course_soon()

    def _edit_points(self, assignment: Assignment) -> None:
        """Change the possible points of an assignment whose work is graded."""
        now_ms, old_points = self._room.agenda.now_ms, assignment.points
        assignment.points = round(old_points * self._rng.choice((0.8, 0.9, 1.1, 1.2)) * 4) / 4
        self._room.book.rescale(assignment.index, assignment.group, assignment.points, old_points)
        for nth, (student, submission) in enumerate(self._room.graded(assignment)):
            # Canvas saves each submission again: a new version with the score of the one before.
            again = submission._replace(previous_score=submission.score)
            self._room.replace(student, assignment, again)
            self._at(now_ms + 25 * nth, self._room.announce_points, student, assignment, old_points)
        self._room.recompute_course_soon()

    # Enrollments, overrides and statuses

    def _leave(self, student: int) -> None:
        """Have a student leave the course; one in four comes back."""
        if self._room.active[student]:
            self._room.leave(student)
            if self._rng.random() < 0.25:
                self._later(0.5, 5, self._room.come_back, student)

    def _override(self, student: int) -> None:
        """Override a final score, mostly to the better, or now and then take the override back."""
        if not self._room.active[student]:
            return
        old = self._overrides[student]
        new: float | None = None
        if old is None:
            final = self._room.saved_final_score(student)
            new = float(round(min(100.0, max(60.0, final + self._rng.gauss(6, 6)))))
        self._overrides[student] = new
        for nth, row_id in enumerate(self._course.enrollments[student].row_ids):  # one per section
            now_ms = self._room.agenda.now_ms + nth
            self._at(now_ms, self._room.announce_override, student, row_id, new, old)
        if old is None and self._rng.random() < 0.2:
            self._later(0.1, 1, self._override, student)

    def _set_status(self, student: int) -> None:
        """Give a final grade a custom status, or take it away again."""
        if not self._room.active[student]:
            return
        old = self._statuses[student]
        new = 0 if old else self._rng.randrange(1, len(STATUSES))
        self._statuses[student] = new
        self._room.announce_status(student, new, old)
        if new and self._rng.random() < 0.3:
            self._later(1, 10, self._set_status, student)

    # When

    def _later(
        self, least_days: float, most_days: float, action: Callable[..., None], *arguments: object
    ) -> None:
        delay_ms = self._rng.uniform(least_days, most_days) * self._day_ms
        self._at(self._room.agenda.now_ms + delay_ms, action, *arguments)

    def _working_hours(self, time_ms: float) -> float:
        """Move a time to the same day's eight to sixteen o'clock, in a semester long enough for that."""
        if self._room.length_ms < 4 * WEEK_MS:
            return time_ms
        return time_ms - time_ms % DAY_MS + LOCAL_MIDNIGHT_MS + self._rng.uniform(8, 16) * _HOUR_MS
