"""The rules: from a case, what a rule holds and its parameters to what it holds then and what it found.

Each is one pure function, which leaves as soon as it is clear that nothing changes: nearly always it doesn't.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeAlias

from models.alerts import Severity, Status
from models.records import CourseGradeChange, FinalGradeCustomStatus, GradeChange, GradeOverride
from tables.cases import CRITICAL, NOTHING, ON, WARNING, Case, Finding, Held, Verdict
from tables.figures import (
    as_text,
    difference,
    duration_text,
    mean,
    percent,
    points_text,
    recent_percents,
)
from tables.parameters import (
    CoursesAtRisk,
    FinalStatusChanged,
    HiddenScoreDrop,
    LowAssignmentAverage,
    OverrideDivergence,
    ScoreDrop,
    SubmissionScoreDrop,
    ThresholdCrossed,
)
from tables.scores import Point, StudentScores, find_submission

ScoreOf: TypeAlias = Callable[[Point], float | None]

POSTED: Final[ScoreOf] = attrgetter("current")
HIDDEN: Final[ScoreOf] = attrgetter("unposted")


def peak_before(points: tuple[Point, ...], window_ms: int, score_of: ScoreOf) -> float | None:
    """Return the highest score of a window before the newest point; null where none is known."""
    at = points[-1].at
    since_ms = at - window_ms
    peak = None
    for point in reversed(points):
        if point.at < since_ms:
            break
        if point.at < at:
            score = score_of(point)
            if score is not None and (peak is None or score >= peak):
                peak = score
    return peak


def score_drop(case: Case[CourseGradeChange], held: Held, p: ScoreDrop) -> Verdict:
    """Hold while the posted score is far below the peak of the points before it in the window."""
    score = case.record.current_score
    if score is None:
        return held, ()
    peak = peak_before(case.after.points, p.window, POSTED)
    if not held and (peak is None or peak - score < p.min_drop / 2):  # short of min_drop, however rounded
        return held, ()
    return _drop("posted score", score, case.before.current, peak, held, p)


def hidden_score_drop(case: Case[CourseGradeChange], held: Held, p: HiddenScoreDrop) -> Verdict:
    """Do as score_drop does with the score that has unposted grades in it."""
    score = case.record.unposted_current_score
    if score is None:
        return held, ()
    peak = peak_before(case.after.points, p.window, HIDDEN)
    return _drop("score with unposted grades", score, case.before.unposted_current, peak, held, p)


def _drop(
    what: str, score: float, previous: float | None, peak: float | None, held: Held, p: ScoreDrop
) -> Verdict:
    if peak is None:
        if not held:
            return held, ()
        message = (
            f"The {what} is {as_text(score)}, and no earlier one of the last {duration_text(p.window)}"
            " is left to fall from."
        )
        return NOTHING, (Finding("resolved", "info", score, previous, None, message),)
    drop = difference(peak, score)
    now = _level(drop, held, p)
    if now == held:
        return held, ()
    if not now:
        message = (
            f"The {what} is {as_text(score)}, no longer far below its peak of {as_text(peak)}"
            f" within {duration_text(p.window)}."
        )
        return now, (Finding("resolved", "info", score, previous, peak, message),)
    message = (
        f"The {what} fell {points_text(drop)}, from a peak of {as_text(peak)} to {as_text(score)},"
        f" within {duration_text(p.window)}."
    )
    status: Status = "escalated" if held else "opened"
    severity: Severity = "critical" if now == CRITICAL else "warning"
    return now, (Finding(status, severity, score, previous, peak, message),)


def _level(drop: float, held: Held, p: ScoreDrop) -> Held:
    if drop >= p.critical_drop:
        return CRITICAL
    if drop >= p.min_drop:
        return held or WARNING  # a critical drop that eases is critical still, until it is let go
    if drop <= difference(p.min_drop, p.rearm):
        return NOTHING
    return held


def threshold_crossed(case: Case[CourseGradeChange], held: Held, p: ThresholdCrossed) -> Verdict:
    """Hold each threshold that the posted score is below, until it has risen well above it again."""
    score = case.record.current_score
    if score is None or (not held and score >= p.thresholds[0]):
        return held, ()
    was = [float(text) for text in held]  # a threshold that is configured no more is let go like any other
    crossed = [threshold for threshold in p.thresholds if score < threshold and threshold not in was]
    let_go = [t for t in was if score >= t and difference(score, t) >= p.rearm]
    if not crossed and not let_go:
        return held, ()
    previous = case.before.current
    findings = []
    if crossed:
        lowest = crossed[-1]
        is_last = len(p.thresholds) > 1 and lowest == p.thresholds[-1]
        findings.append(
            Finding(
                "escalated" if any(t > lowest for t in was) else "opened",
                "critical" if is_last else "warning",
                score,
                previous,
                lowest,
                f"The posted score is {as_text(score)}, below the threshold of {as_text(lowest)}.",
                subject=_threshold_text(lowest),
            )
        )
    if let_go:
        highest = max(let_go)
        findings.append(
            Finding(
                "resolved",
                "info",
                score,
                previous,
                highest,
                f"The posted score is {as_text(score)}, back above the threshold of {as_text(highest)}.",
                subject=_threshold_text(highest),
            )
        )
    now = sorted({*was, *crossed} - set(let_go), reverse=True)
    return tuple(map(_threshold_text, now)), tuple(findings)


def _threshold_text(threshold: float) -> str:
    return repr(threshold).removesuffix(".0")


def submission_score_drop(case: Case[GradeChange], held: Held, p: SubmissionScoreDrop) -> Verdict:
    """Find a submission graded much lower than before, out of the same points."""
    record = case.record
    # Where there is one more than before, the record's is new.
    if len(case.after.submissions) > len(case.before.submissions) or not record.is_complete:
        return held, ()
    old = find_submission(case.before, record.submission_id)
    if old is None or not old.complete or old.points_possible != record.points_possible:
        return held, ()
    old_percent = percent(old.score, old.points_possible)
    new_percent = percent(record.score, record.points_possible)
    if old_percent is None or new_percent is None:
        return held, ()
    drop = difference(old_percent, new_percent)
    if drop < p.min_drop_percent:
        return held, ()
    fall = f"from {as_text(old_percent)} to {as_text(new_percent)} percent"
    return held, (
        Finding(
            "opened",
            "warning",
            new_percent,
            old_percent,
            record.points_possible,
            f"A submission was graded again and fell {fall}.",
            subject=record.submission_id,
            assignment_id=record.assignment_id,
            submission_id=record.submission_id,
            audience="staff" if old.muted or record.is_muted else "student",
        ),
    )


def low_assignment_average(case: Case[GradeChange], held: Held, p: LowAssignmentAverage) -> Verdict:
    """Hold while the newest graded submissions are poor on average."""
    percents = recent_percents(case.after.submissions, p.last)
    average = mean(list(percents.values()))
    if len(percents) < p.min_count or average is None:
        return held, ()
    above = difference(average, p.below)
    now = ON if above < 0 else NOTHING if above >= p.rearm else held
    if now == held:
        return held, ()
    before = recent_percents(case.before.submissions, p.last)
    if percents == before:
        return held, ()
    message = f"The newest {len(percents)} graded submissions average {as_text(average)} percent"
    if now:
        message += f", below {as_text(p.below)}."
        return now, (Finding("opened", "warning", average, mean(list(before.values())), p.below, message),)
    message += f", no longer below {as_text(p.below)}."
    return now, (Finding("resolved", "info", average, mean(list(before.values())), p.below, message),)


def override_divergence(
    case: Case[CourseGradeChange] | Case[GradeOverride], held: Held, p: OverrideDivergence
) -> Verdict:
    """Hold while the course's own override is far from the computed final score."""
    if not held and not case.after.overrides:
        return held, ()
    if case.record.type == "grade_override" and case.record.grading_period_id:
        return held, ()
    override, final, previous = case.after.override, case.after.final, case.before.override
    if override is None:
        if not held:
            return held, ()
        message = "The override that was far from the computed final score was removed."
        return NOTHING, (Finding("resolved", "info", None, previous, final, message),)
    if final is None:
        return held, ()
    gap = abs(difference(override, final))
    now = ON if gap >= p.min_gap else NOTHING
    if now == held:
        return held, ()
    message = f"The override of {as_text(override)} is {points_text(gap)} from the computed final score"
    if now:
        message += f" of {as_text(final)}."
        return now, (Finding("opened", "warning", override, previous, final, message),)
    message += f" of {as_text(final)}, no longer far from it."
    return now, (Finding("resolved", "info", override, previous, final, message),)


def final_status_changed(case: Case[FinalGradeCustomStatus], held: Held, _p: FinalStatusChanged) -> Verdict:
    """Find a custom status of the course's own final grade that is another than before."""
    record = case.record
    old, new = case.before.status, record.override_status
    if record.grading_period_id or new == old:
        return held, ()
    change = "removed" if new is None else "set" if old is None else "changed"
    message = f"The custom status of the final grade was {change}."
    return held, (Finding("opened", "info", new, old, None, message),)


def courses_at_risk(case: Case[CourseGradeChange], held: Held, p: CoursesAtRisk) -> Verdict:
    """Hold while the posted scores of several courses are low."""
    if case.record.current_score is None and not case.record.is_deleted:
        return held, ()
    count = _low_courses(case.student, p.below)
    now = ON if count >= p.min_courses else NOTHING
    if now == held:
        return held, ()
    before = _low_courses(case.student_before, p.below)
    number = f"{count} course" if count == 1 else f"{count} courses"
    message = f"The posted score is below {as_text(p.below)} in {number}."
    if now:
        return now, (Finding("opened", "warning", count, before, p.min_courses, message),)
    return now, (Finding("resolved", "info", count, before, p.min_courses, message),)


def _low_courses(student: StudentScores, below: float) -> int:
    count = 0
    for course in student.courses.values():
        newest = course.newest
        if newest is not None and newest.current is not None and newest.current < below:
            count += 1
    return count
