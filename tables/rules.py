"""Step 4: judge one record against what is kept of its student, and say what is worth an alert.

A rule is one pure function: from a case, what the rule holds and its parameters to what it holds then and
what it found. What rules hold follows the order in which records arrive, so it is kept apart from the scores,
which don't. The table of rules is at the end of this file.
"""

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from models.alerts import Severity, Status
from models.records import (
    RECORD_TYPES,
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
)
from tables.cases import (
    CRITICAL,
    NO_HOLDS,
    NOTHING,
    ON,
    WARNING,
    AlertDraft,
    Case,
    Finding,
    Held,
    HeldByRule,
    Holds,
    Rule,
    Verdict,
)
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
    DEFAULT_RULES,
    CoursesAtRisk,
    FinalStatusChanged,
    HiddenScoreDrop,
    LowAssignmentAverage,
    OverrideDivergence,
    Rules,
    ScoreDrop,
    SubmissionScoreDrop,
    ThresholdCrossed,
)
from tables.scores import NO_COURSE, Point, StudentScores, find_submission, is_newest

__all__ = ["DEFAULT_RULES", "NO_HOLDS", "AlertDraft", "Holds", "Rules", "evaluate"]


def evaluate(
    holds: Holds, before: StudentScores, after: StudentScores, record: GradeRecord, rules: Rules
) -> tuple[Holds, tuple[AlertDraft, ...]]:
    """Judge a record, given the scores before it and `after`, which is `fold(before, record)`.

    Returns what the rules hold now, the same object when that is unchanged, and the alerts. Only a record
    that became the newest of its kind is judged; of a course that is closed nothing is.
    """
    course_id = record.course_id
    if after is before or course_id is None:
        return holds, ()
    if not holds.courses.keys() <= after.courses.keys():  # a course was too old to be kept
        holds = Holds({c: held for c, held in holds.courses.items() if c in after.courses}, holds.student)
    course = after.courses.get(course_id, NO_COURSE)
    if not is_newest(course, record):
        return holds, ()
    case = Case(record, before, after, before.courses.get(course_id, NO_COURSE), course)
    of_course = was_of_course = holds.courses.get(course_id, {})
    of_student = holds.student
    is_closed = course.is_closed
    if is_closed:
        of_course = {}
    drafts: list[AlertDraft] = []
    for rule in _RULES_ON[record.type]:
        if rule.across_courses:
            of_student, findings = _judge(rule, case, of_student, rules)
        elif is_closed:
            continue
        else:
            of_course, findings = _judge(rule, case, of_course, rules)
        if findings:
            drafts.extend(rule.draft(finding, record) for finding in findings)
    if of_course is was_of_course and of_student is holds.student:
        return holds, tuple(drafts)
    courses = {**holds.courses, course_id: of_course}
    if not of_course:
        del courses[course_id]
    return Holds(courses, of_student), tuple(drafts)


def _judge(
    rule: Rule, case: Case[Any], holds: HeldByRule, rules: Rules
) -> tuple[HeldByRule, tuple[Finding, ...]]:
    """Return what is held after a rule, the same object when that is unchanged, and what the rule found."""
    held = holds.get(rule.name, NOTHING)
    parameters = getattr(rules, rule.name)
    findings: tuple[Finding, ...]
    if not parameters.enabled:
        now, findings = NOTHING, ()  # nothing is open of a rule that is switched off
    elif rule.silent_while in holds:
        return holds, ()
    else:
        now, findings = rule.judge(case, held, parameters)
    if now == held:
        return holds, findings
    holds = {**holds, rule.name: now}
    if not now:
        del holds[rule.name]
    return holds, findings


def score_drop(case: Case[CourseGradeChange], held: Held, p: ScoreDrop) -> Verdict:
    """Hold while the posted score is far below the peak of the points before it in the window."""
    score = case.record.current_score
    if score is None:
        return held, ()
    points, at = _window(case, p.window)
    scores = [point.current for point in points if point.current is not None and point.at < at]
    peak = max(scores, default=None)
    return _drop("posted score", score, case.before.current, peak, held, p)


def hidden_score_drop(case: Case[CourseGradeChange], held: Held, p: HiddenScoreDrop) -> Verdict:
    """Do as score_drop does with the score that has unposted grades in it."""
    score = case.record.unposted_current_score
    if score is None:
        return held, ()
    points, at = _window(case, p.window)
    scores = [point.unposted for point in points if point.unposted is not None and point.at < at]
    peak = max(scores, default=None)
    return _drop("score with unposted grades", score, case.before.unposted_current, peak, held, p)


_time_of = attrgetter("at")


def _window(case: Case[CourseGradeChange], window_ms: int) -> tuple[tuple[Point, ...], int]:
    """Return the points from the window's beginning on, and the time of the newest, which is the record's."""
    points = case.after.points
    at = points[-1].at
    return points[bisect_left(points, at - window_ms, key=_time_of) :], at


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
    old = find_submission(case.before, record.submission_id)
    if (
        old is None
        or not (old.complete and record.is_complete)
        or old.points_possible != record.points_possible
    ):
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
    before = recent_percents(case.before.submissions, p.last)
    average = mean(list(percents.values()))
    if percents == before or len(percents) < p.min_count or average is None:
        return held, ()
    above = difference(average, p.below)
    now = ON if above < 0 else NOTHING if above >= p.rearm else held
    if now == held:
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
    if isinstance(case.record, GradeOverride) and case.record.grading_period_id:
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
    scores = [course.newest.current for course in student.courses.values() if course.newest is not None]
    return len([score for score in scores if score is not None and score < below])


_SCORES = frozenset({"course_grade_change"})
_SUBMISSIONS = frozenset({"grade_change"})
_OVERRIDES = frozenset({"grade_override"})
_STATUSES = frozenset({"final_grade_custom_status"})

RULES = (
    Rule("score_drop", score_drop, _SCORES),
    Rule("threshold_crossed", threshold_crossed, _SCORES),
    Rule("submission_score_drop", submission_score_drop, _SUBMISSIONS),
    Rule("low_assignment_average", low_assignment_average, _SUBMISSIONS),
    Rule("override_divergence", override_divergence, _SCORES | _OVERRIDES),
    Rule("final_status_changed", final_status_changed, _STATUSES),
    Rule("courses_at_risk", courses_at_risk, _SCORES, across_courses=True),
    Rule("hidden_score_drop", hidden_score_drop, _SCORES, staff_only=True, silent_while="score_drop"),
)

STAFF_ONLY = frozenset(rule.name for rule in RULES if rule.staff_only)

_RULES_ON: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        record_type: tuple(rule for rule in RULES if record_type in rule.judged_on)
        for record_type in RECORD_TYPES
    }
)
