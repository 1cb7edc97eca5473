"""The vocabulary of the rules: what they hold, what they look at, and what they find."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from models.alerts import Alert, Audience, Severity, Status, alert_id
from models.records import GradeRecord
from tables.scores import CourseScores, StudentScores

Held: TypeAlias = tuple[str, ...]
"""What one rule holds: nothing, ("on",), its level, or its thresholds from the highest to the lowest."""

HeldByRule: TypeAlias = Mapping[str, Held]
"""Only rules that hold something are in it."""

NOTHING: Held = ()
ON: Held = ("on",)
WARNING: Held = ("warning",)
CRITICAL: Held = ("critical",)


class Holds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the rules hold for a student."""

    courses: Mapping[str, HeldByRule] = {}
    """By course; only courses for which something is held."""
    student: HeldByRule = {}
    """Of rules that look at several courses."""


NO_HOLDS = Holds()


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """An alert but for the time of its detection, which a pure function cannot know."""

    alert_id: str
    rule: str
    status: Status
    severity: Severity
    audience: Audience
    root_account_uuid: str
    user_id: str | None
    course_id: str | None
    assignment_id: str | None
    submission_id: str | None
    subject: str | None
    event_id: str | None
    event_time: str
    value: float | str | None
    previous: float | str | None
    reference: float | None
    message: str

    def alert(self, detected_at: str) -> Alert:
        """Return the alert as found at a time."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return Alert(**fields, detected_at=detected_at)


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What a rule found, for one alert."""

    status: Status
    severity: Severity
    value: float | str | None
    previous: float | str | None
    reference: float | None
    message: str
    subject: str | None = None
    assignment_id: str | None = None
    submission_id: str | None = None
    audience: Audience = "student"


R = TypeVar("R", bound=GradeRecord)


class Case(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """A record that became the newest of its kind, and its student before and after."""

    record: R
    student_before: StudentScores
    student: StudentScores
    before: CourseScores
    """The record's course."""
    after: CourseScores
    """The record's course; open, unless the rule looks across courses."""


Verdict: TypeAlias = tuple[Held, tuple[Finding, ...]]


class Rule(NamedTuple):
    """A rule: its function and when it is asked."""

    name: str
    """Its name in alerts, in what is held, and as the field of its parameters in `Rules`."""
    judge: Callable[[Any, Held, Any], Verdict]
    """From a case of the types below, what the rule holds, and its parameters."""
    judged_on: frozenset[str]
    """Types of record."""
    across_courses: bool = False
    """Whether it looks at all of a student's courses; if so a deletion is judged too."""
    staff_only: bool = False
    """Whether it looks at what the student cannot see."""
    silent_while: str | None = None
    """Another rule, above it in the table; while that one holds, this one is not judged."""

    def draft(self, finding: Finding, record: GradeRecord) -> AlertDraft:
        """Return the alert about what this rule found in a record."""
        course_id = None if self.across_courses else record.course_id
        return AlertDraft(
            alert_id=alert_id(
                rule=self.name,
                status=finding.status,
                key=record.key,
                course_id=course_id,
                subject=finding.subject,
                event_id=record.event_id,
            ),
            rule=self.name,
            status=finding.status,
            severity=finding.severity,
            audience="staff" if self.staff_only else finding.audience,
            root_account_uuid=record.root_account_uuid,
            user_id=record.user_id,
            course_id=course_id,
            assignment_id=finding.assignment_id,
            submission_id=finding.submission_id,
            subject=finding.subject,
            event_id=record.event_id,
            event_time=record.event_time,
            value=finding.value,
            previous=finding.previous,
            reference=finding.reference,
            message=finding.message,
        )
