"""Step 4: judge one record against what is kept of its student, and say what is worth an alert.

What rules hold follows the order in which records arrive, so it is kept apart from the scores, which don't.
The table of rules is here; the rules themselves are in `tables.judges`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from models.records import RECORD_TYPES, GradeRecord
from tables.cases import (
    NO_HOLDS,
    NOTHING,
    AlertDraft,
    Case,
    Held,
    HeldByRule,
    Holds,
    Rule,
    Verdict,
)
from tables.judges import (
    courses_at_risk,
    final_status_changed,
    hidden_score_drop,
    low_assignment_average,
    override_divergence,
    score_drop,
    submission_score_drop,
    threshold_crossed,
)
from tables.parameters import DEFAULT_RULES, Rules
from tables.scores import NO_COURSE, Standing, StudentScores, is_newest

__all__ = ["DEFAULT_RULES", "NO_HOLDS", "RULES", "STAFF_ONLY", "AlertDraft", "Holds", "Rules", "evaluate"]

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


def evaluate(
    holds: Holds,
    before: StudentScores,
    after: StudentScores,
    record: GradeRecord,
    rules: Rules,
    *,
    standing: Standing | None = None,
) -> tuple[Holds, tuple[AlertDraft, ...]]:
    """Judge a record, given the scores before it and `after`, which is `fold(before, record)`.

    Returns what the rules hold now, the same object when that is unchanged, and the alerts. Only a record
    that became the newest of its kind is judged; of a course that is closed nothing is. Who knows the
    record's `standing` from `place` spares the search for it.
    """
    course_id = record.course_id
    if after is before or course_id is None:
        return holds, ()
    courses = after.courses
    if holds.courses and not holds.courses.keys() <= courses.keys():  # a course was too old to be kept
        holds = Holds({c: held for c, held in holds.courses.items() if c in courses}, holds.student)
    course = courses.get(course_id, NO_COURSE)
    if standing != "newest" and (standing is not None or not is_newest(course, record)):
        return holds, ()
    case = Case(record, before, after, before.courses.get(course_id, NO_COURSE), course)
    asked, off = _plan_of(rules)[record.type]
    of_course = was_of_course = holds.courses.get(course_id, _NOTHING_HELD)
    of_student = holds.student
    is_closed = course.is_closed
    if is_closed:
        of_course = _NOTHING_HELD
    if of_course or of_student:
        for name in off:  # nothing is open of a rule that is switched off
            of_course, of_student = _holding(of_course, name, NOTHING), _holding(of_student, name, NOTHING)
    drafts: tuple[AlertDraft, ...] = ()
    for rule, name, judge, parameters, silent_while, across_courses in asked:
        if across_courses:
            held = of_student.get(name, NOTHING)
            now, findings = judge(case, held, parameters)
            if now is not held:
                of_student = _holding(of_student, name, now)
        elif is_closed or silent_while in of_course:
            continue
        else:
            held = of_course.get(name, NOTHING)
            now, findings = judge(case, held, parameters)
            if now is not held:
                of_course = _holding(of_course, name, now)
        if findings:
            drafts += tuple([rule.draft(finding, record) for finding in findings])
    if of_course is was_of_course and of_student is holds.student:
        return holds, drafts
    held_by_course = {**holds.courses, course_id: of_course}
    if not of_course:
        del held_by_course[course_id]
    return Holds(held_by_course, of_student), drafts


_NOTHING_HELD: Final[HeldByRule] = {}


def _holding(holds: HeldByRule, name: str, now: Held) -> HeldByRule:
    """Return what is held with what a rule holds now, the same object when that is unchanged."""
    if holds.get(name, NOTHING) == now:
        return holds
    holds = {**holds, name: now}
    if not now:
        del holds[name]
    return holds


class _Asked(NamedTuple):
    """A rule that is switched on, as it is asked."""

    rule: Rule
    name: str
    judge: Callable[[Any, Held, Any], Verdict]
    parameters: Any
    silent_while: str | None
    across_courses: bool


class _Plan(NamedTuple):
    """What is asked about records of one type."""

    asked: tuple[_Asked, ...]
    off: tuple[str, ...]
    """Rules that would be asked if they were not switched off."""


_MOST_PLANS: Final = 4_096
_plans: dict[int, tuple[Rules, Mapping[str, _Plan]]] = {}


def _plan_of(rules: Rules) -> Mapping[str, _Plan]:
    """Return what these rules ask, by type of record.

    Made once for each rules object and found by its identity, as comparing rules takes longer than judging
    by them. The rules are kept along, so that no others come by their identity.
    """
    known = _plans.get(id(rules))
    if known is None:
        if len(_plans) == _MOST_PLANS:
            _plans.clear()
        plans = {record_type: _plan(rules, record_type) for record_type in RECORD_TYPES}
        known = _plans[id(rules)] = (rules, plans)
    return known[1]


def _plan(rules: Rules, record_type: str) -> _Plan:
    asked, off = [], []
    for rule in RULES:
        if record_type in rule.judged_on:
            parameters = getattr(rules, rule.name)
            if parameters.enabled:
                asked.append(
                    _Asked(rule, rule.name, rule.judge, parameters, rule.silent_while, rule.across_courses)
                )
            else:
                off.append(rule.name)
    return _Plan(tuple(asked), tuple(off))
