"""What is taught: courses with their students, assignments, deadlines, weights and policies."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from app.semester.options import DAY_MS, Options, Size, chance
from app.semester.people import Person, School, Student, global_id

LOCAL_MIDNIGHT_MS: Final = 7 * 3_600_000
"""The school's midnight in UTC: it lies in Denver, and this calendar knows no summer time."""

_GROUPS: Final = ("Homework", "Quizzes", "Projects", "Exams")
_WEIGHTS: Final = ((40.0, 20.0, 20.0, 20.0), (30.0, 20.0, 25.0, 25.0), (25.0, 25.0, 20.0, 30.0))


class Kind(Enum):
    """How an assignment is worked on and graded."""

    HOMEWORK = "Homework"
    QUIZ = "Quiz"
    ESSAY_QUIZ = "Essay quiz"
    """Graded in part by Canvas as it is handed in, completed by a teacher."""
    PROJECT = "Project"
    PARTICIPATION = "Participation"
    EXAM = "Exam"

    @property
    def is_quiz(self) -> bool:
        """Tell a classic quiz, which Canvas grades itself."""
        return self in (Kind.QUIZ, Kind.ESSAY_QUIZ)


_GROUP_OF: Final = {
    Kind.HOMEWORK: 0,
    Kind.PARTICIPATION: 0,
    Kind.QUIZ: 1,
    Kind.ESSAY_QUIZ: 1,
    Kind.PROJECT: 2,
    Kind.EXAM: 3,
}
_POINTS_OF: Final = {
    Kind.HOMEWORK: (10.0, 20.0, 25.0),
    Kind.PARTICIPATION: (5.0,),
    Kind.QUIZ: (10.0, 15.0, 20.0),
    Kind.ESSAY_QUIZ: (20.0, 30.0),
    Kind.PROJECT: (50.0, 100.0),
    Kind.EXAM: (100.0,),
}
_USUAL_KINDS: Final = (Kind.HOMEWORK, Kind.QUIZ, Kind.ESSAY_QUIZ, Kind.PROJECT, Kind.PARTICIPATION)
_USUAL_KIND_WEIGHTS: Final = (0.55, 0.25, 0.07, 0.07, 0.06)


@dataclass(slots=True)
class Assignment:
    """One assignment; `points` may be edited while the semester goes on."""

    index: int
    local_id: int
    name: str
    kind: Kind
    group: int
    grading: str
    """How a grade is shown: points, percent, letter_grade, gpa_scale or pass_fail."""
    points: float
    publish_ms: int
    due_ms: int
    posted_by_hand: bool
    """Scores stay hidden (muted) until a teacher posts them."""
    difficulty: float
    """What is taken from, or given to, everybody's expected share of the points."""
    bonus: float
    """Share of the points that can be earned beyond all of them."""
    first_submission_id: int
    """Canvas creates a course's submissions with the assignment: one per student, in order."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A student in a course; one in two sections has two enrollments and two score rows."""

    student: Student
    declines: bool
    """Whether the student's decline, if any, shows in this course."""
    row_ids: tuple[int, ...]
    """Local id of the enrollment and of its score row, one per section."""


@dataclass(frozen=True, slots=True)
class Course:
    """A course as planned before the semester begins."""

    local_id: int
    account_id: str
    sis_source_id: str | None
    teachers: tuple[Person, ...]
    enrollments: tuple[Enrollment, ...]
    assignments: tuple[Assignment, ...]
    weights: tuple[float, ...]
    """Shares of the assignment groups in percent; a single 100 when the course isn't weighted."""
    missing_policy: bool
    """Canvas itself gives zero for work not handed in."""
    allows_overrides: bool

    @property
    def global_id(self) -> str:
        """The course's id as metadata carries it."""
        return global_id(self.local_id)


def plan_courses(options: Options, size: Size, school: School) -> tuple[Course, ...]:
    """Plan every course of the semester, with every student in four or five of them."""
    classes: list[list[tuple[Student, bool]]] = [[] for _ in range(size.courses)]
    rng = chance(options.seed, "enrollments")
    for student in school.students:
        chosen = rng.sample(range(size.courses), min(size.courses, rng.choice((4, 5))))
        for nth, course in enumerate(chosen):
            decline = student.decline
            declines = decline is not None and (decline.everywhere or nth == 0 or rng.random() < 0.4)
            classes[course].append((student, declines))
    return tuple(
        _plan_course(chance(options.seed, "course", number), options, size, school, number, members)
        for number, members in enumerate(classes)
    )


def _plan_course(
    rng: Random,
    options: Options,
    size: Size,
    school: School,
    number: int,
    members: list[tuple[Student, bool]],
) -> Course:
    first_row_id = 1_000_000 + number * 2 * len(school.students)
    enrollments = []
    for place, (student, declines) in enumerate(members):
        row_id = first_row_id + 2 * place
        sections = (row_id, row_id + 1) if rng.random() < 0.1 else (row_id,)
        enrollments.append(Enrollment(student, declines, sections))
    teachers = rng.sample(school.teachers, min(len(school.teachers), 1 + len(members) // 60))
    weights = rng.choice(_WEIGHTS) if rng.random() < 0.8 else (100.0,)
    return Course(
        local_id=2001 + number,
        account_id=rng.choice(school.account_ids),
        sis_source_id=None if rng.random() < 0.1 else f"{options.until.year}.{100 + number}.01",
        teachers=tuple(teachers),
        enrollments=tuple(enrollments),
        assignments=_plan_assignments(rng, options, size, number, weighted=len(weights) > 1),
        weights=weights,
        missing_policy=rng.random() < 0.3,
        allows_overrides=rng.random() < 0.6,
    )


def _plan_assignments(
    rng: Random, options: Options, size: Size, number: int, *, weighted: bool
) -> tuple[Assignment, ...]:
    count = size.assignments
    exams = {round(count * part) - 1 for part in (1 / 3, 2 / 3, 1)}  # only asked for membership, never walked
    length_ms = options.until_ms - options.since_ms
    teaching_ms = length_ms - min(5 * DAY_MS, length_ms // 6)  # the last days are for grading only
    assignments = []
    for index in range(count):
        usual = rng.choices(_USUAL_KINDS, _USUAL_KIND_WEIGHTS)[0]
        kind = Kind.EXAM if index in exams else usual
        due_ms = options.since_ms + int(teaching_ms * (index + rng.uniform(0.5, 1.0)) / count)
        if length_ms > 28 * DAY_MS:  # due a minute before the school's midnight
            due_ms = due_ms - due_ms % DAY_MS + LOCAL_MIDNIGHT_MS - 60_000
        late_idea = rng.random() < 0.25
        local_id = 50_001 + number * count + index
        extra_credit = kind is Kind.HOMEWORK and rng.random() < 0.03
        assignments.append(
            Assignment(
                index=index,
                local_id=local_id,
                name=f"{'Extra credit' if extra_credit else kind.value} {index + 1}",
                kind=kind,
                group=_GROUP_OF[kind] if weighted else 0,
                grading=_grading(rng, kind),
                points=0.0 if extra_credit else rng.choice(_POINTS_OF[kind]),
                publish_ms=due_ms - length_ms // 10 if late_idea else options.since_ms,
                due_ms=due_ms,
                posted_by_hand=kind is Kind.EXAM and rng.random() < 0.6,
                difficulty=rng.gauss(0.0, 0.02) - (0.03 if kind is Kind.EXAM else 0.0),
                bonus=rng.choice((0.0, 0.0, 0.05, 0.1)),
                first_submission_id=5_000_000 + (number * count + index) * size.students,
            )
        )
    return tuple(assignments)


def _grading(rng: Random, kind: Kind) -> str:
    if kind is Kind.PARTICIPATION:
        return "pass_fail"
    if kind.is_quiz:
        return "points"
    return rng.choices(("points", "percent", "letter_grade", "gpa_scale"), (0.7, 0.15, 0.1, 0.05))[0]
