"""One course's scores as Canvas computes them from the submissions.

Source of the arithmetic: canvas-lms `lib/grade_calculator.rb`. Points are multiples of a quarter, so that
adding and taking away is exact and the order in which work is graded leaves no trace in a score.
"""

from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple


class Submission(NamedTuple):
    """One student's work for one assignment; `previous_score` is that of the version before the last one."""

    score: float | None = None
    previous_score: float | None = None
    complete: bool = False
    posted: bool = False
    excused: bool = False


class CourseScores(NamedTuple):
    """The four scores of one student in one course, in percent, rounded to two decimals."""

    current: float | None = None
    final: float | None = 0.0
    unposted_current: float | None = None
    unposted_final: float | None = 0.0


UNTOUCHED: Final = Submission()

# Per student and assignment group, sums of points: earned and possible for the current scores (graded work
# only), posted and all; earned for the final scores (a partly graded quiz counts there), posted and all;
# possible points that the student was excused from.
_POSTED, _POSTED_OF, _ALL, _ALL_OF, _FINAL_POSTED, _FINAL_ALL, _EXCUSED_OF = range(7)
_SUMS: Final = 7


class Gradebook:
    """Submissions of a course and, always up to date, the sums that its scores are made of.

    `weights` are the assignment groups' shares of the course score in percent. A score costs time by the
    number of groups, not of assignments.
    """

    __slots__ = ("_possible", "_submissions", "_sums", "_weights")

    def __init__(self, students: int, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._possible = [0.0] * len(weights)
        self._sums = [array("d", bytes(8 * _SUMS * len(weights))) for _ in range(students)]
        self._submissions: dict[int, list[Submission]] = {}

    def publish(self, assignment: int, group: int, points: float) -> None:
        """Count an assignment in: from now on ungraded work for it weighs on the final scores."""
        self._possible[group] += points
        self._submissions[assignment] = [UNTOUCHED] * len(self._sums)

    def submission(self, student: int, assignment: int) -> Submission:
        """Give the newest state of a student's work."""
        return self._submissions[assignment][student]

    def submissions(self, assignment: int) -> Sequence[Submission]:
        """Give all students' work for a published assignment, in the order of students."""
        return self._submissions[assignment]

    def change(self, student: int, assignment: int, group: int, points: float, to: Submission) -> None:
        """Replace a student's work; `points` are the assignment's possible points."""
        submissions = self._submissions[assignment]
        sums = self._sums[student]
        _add(sums, group, points, submissions[student], -1.0)
        _add(sums, group, points, to, 1.0)
        submissions[student] = to

    def rescale(self, assignment: int, group: int, points: float, old_points: float) -> None:
        """Change an assignment's possible points; scores stay as they are, as in Canvas."""
        self._possible[group] += points - old_points
        for sums, submission in zip(self._sums, self._submissions[assignment], strict=True):
            _add(sums, group, old_points, submission, -1.0)
            _add(sums, group, points, submission, 1.0)

    def scores(self, student: int) -> CourseScores:
        """Compute a student's four scores.

        Current ignores what is ungraded, final counts it as zero; both take unposted work as ungraded, the
        unposted ones don't. A group without possible points doesn't count, and the weights of those that do
        are scaled up to the whole.
        """
        sums = self._sums[student]
        posted = posted_weight = everything = everything_weight = 0.0
        final_posted = final_everything = final_weight = 0.0
        at = 0
        for weight, possible in zip(self._weights, self._possible, strict=True):
            if sums[at + _POSTED_OF] > 0:
                posted += weight * sums[at + _POSTED] / sums[at + _POSTED_OF]
                posted_weight += weight
            if sums[at + _ALL_OF] > 0:
                everything += weight * sums[at + _ALL] / sums[at + _ALL_OF]
                everything_weight += weight
            possible -= sums[at + _EXCUSED_OF]
            if possible > 0:
                final_posted += weight * sums[at + _FINAL_POSTED] / possible
                final_everything += weight * sums[at + _FINAL_ALL] / possible
                final_weight += weight
            at += _SUMS
        return CourseScores(
            round(100.0 * posted / posted_weight, 2) if posted_weight else None,
            round(100.0 * final_posted / final_weight, 2) if final_weight else 0.0,
            round(100.0 * everything / everything_weight, 2) if everything_weight else None,
            round(100.0 * final_everything / final_weight, 2) if final_weight else 0.0,
        )


def _add(sums: "array[float]", group: int, points: float, submission: Submission, sign: float) -> None:
    """Add a submission to a student's sums, or with -1.0 take it away."""
    at = group * _SUMS
    if submission.excused:
        sums[at + _EXCUSED_OF] += sign * points
        return
    if submission.score is None:
        return
    score, points = sign * submission.score, sign * points
    sums[at + _FINAL_ALL] += score
    if submission.posted:
        sums[at + _FINAL_POSTED] += score
    if not submission.complete:
        return
    sums[at + _ALL] += score
    sums[at + _ALL_OF] += points
    if submission.posted:
        sums[at + _POSTED] += score
        sums[at + _POSTED_OF] += points
