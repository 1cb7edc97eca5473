"""The parameters of the rules: what an operator may set, the defaults, and what is a mistake in them.

Field names are the names an operator writes. Scores, drops and gaps are percent points; durations are
written as text, "7d", "12h", "30m" or "1d12h", and kept in milliseconds. What a rule says of itself here is
what the documentation says of it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tables.figures import as_text
from tables.scores import DAY_MS, LIMITS

DROPS_KEPT_MS = 7 * DAY_MS
"""How far behind a course's newest drop its windows are kept; a window can't be longer."""

_UNITS_MS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000}
_duration = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?").fullmatch


def _milliseconds(value: object) -> int:
    match = _duration(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("not a duration")
    counts = [int(count or 0) for count in match.groups()]
    return sum(count * unit_ms for count, unit_ms in zip(counts, _UNITS_MS.values(), strict=True))


def duration_as_written(milliseconds: int) -> str:
    """Return a duration of whole minutes, one at least, as an operator writes it: `7d`, `1d12h`."""
    written = ""
    for unit, unit_ms in _UNITS_MS.items():
        count, milliseconds = divmod(milliseconds, unit_ms)
        written += f"{count}{unit}" if count else ""
    return written


def _falling(thresholds: tuple[float, ...]) -> tuple[float, ...]:
    if any(one <= next_one for one, next_one in pairwise(thresholds)):
        raise ValueError("not from the highest to the lowest")
    return thresholds


@dataclass(frozen=True, slots=True)
class Right:
    """What a right value looks like: the end of a sentence that says what a wrong one must be."""

    text: str


Switch: TypeAlias = Annotated[bool, Right("true or false")]
Above0: TypeAlias = Annotated[FiniteFloat, Field(gt=0), Right("a number above 0")]
AtLeast0: TypeAlias = Annotated[FiniteFloat, Field(ge=0), Right("a number of at least 0")]
Percent: TypeAlias = Annotated[FiniteFloat, Right("a number")]
Thresholds: TypeAlias = Annotated[
    tuple[FiniteFloat, ...],
    Field(strict=False, min_length=1, max_length=16),
    AfterValidator(_falling),
    Right("a list of 1 to 16 numbers, from the highest to the lowest and each once"),
]
Duration: TypeAlias = Annotated[int, BeforeValidator(_milliseconds)]
"""Written as text, kept in milliseconds."""
PeakWindow: TypeAlias = Annotated[
    Duration, Field(ge=60_000, le=LIMITS.points_ms), Right('a duration from "1m" to "35d", such as "12h"')
]
"""Reaches back no further than points are kept."""
DropWindow: TypeAlias = Annotated[
    Duration, Field(ge=60_000, le=DROPS_KEPT_MS), Right('a duration from "1m" to "7d", such as "2h"')
]


class Contradiction(NamedTuple):
    """Values that are right alone but not together."""

    fields: tuple[str, ...]
    sentence: str


class Parameters(BaseModel):
    """What every rule has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    JUDGED_ON: ClassVar[str]
    """Which events it looks at."""
    HOLDS: ClassVar[str]
    """When it begins to hold, in the words of its parameters."""
    LET_GO: ClassVar[str]
    """When it is let go."""
    SEVERITY: ClassVar[str]
    ACROSS_COURSES: ClassVar[bool] = False
    """Whether it looks at all of a student's courses, and so can't differ from course to course."""

    enabled: Switch = Field(default=True, description="Whether the rule is judged at all.")

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what can't be meant together."""
        yield from ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = list(self.contradictions())
        if found:
            sentences = "; ".join(contradiction.sentence for contradiction in found)
            raise PydanticCustomError(
                "contradiction", "{sentences}", {"sentences": sentences, "found": found}
            )
        return self


class ScoreDrop(Parameters):
    """The posted score fell far below its recent peak."""

    JUDGED_ON = "a posted current score"
    HOLDS = "the score is `min_drop` or more below the highest of the `window` before it"
    LET_GO = "it is no more than `min_drop` less `rearm` below that, or no earlier score is in the window"
    SEVERITY = "warning; critical from `critical_drop`"

    min_drop: Above0 = Field(default=10.0, description="Drop below the peak from which the rule holds.")
    critical_drop: Above0 = Field(default=20.0, description="Drop from which it is critical.")
    window: PeakWindow = Field(default=7 * DAY_MS, description="How far back the peak is looked for.")
    rearm: AtLeast0 = Field(
        default=5.0, description="How far the drop must ease below min_drop to let the rule go."
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what can't be meant together."""
        least, critical, rearm = as_text(self.min_drop), as_text(self.critical_drop), as_text(self.rearm)
        if self.critical_drop < self.min_drop:
            yield Contradiction(
                ("critical_drop", "min_drop"),
                f"critical_drop is smaller than min_drop ({critical} and {least}), so no drop would be a "
                f"warning; did you mean critical_drop = {least}?",
            )
        if self.rearm > self.min_drop:
            yield Contradiction(
                ("rearm", "min_drop"),
                f"rearm is greater than min_drop ({rearm} and {least}), so the score would have to rise "
                f"above its peak to let the rule go; did you mean rearm = {least}?",
            )


class HiddenScoreDrop(ScoreDrop):
    """The score with unposted grades fell far below its recent peak; for staff only."""

    JUDGED_ON = "a current score with unposted grades, unless `score_drop` holds"

    enabled: Switch = Field(default=False, description="Whether the rule is judged at all.")


class ThresholdCrossed(Parameters):
    """The posted score fell below a threshold."""

    JUDGED_ON = "a posted current score"
    HOLDS = "the score is below one of the `thresholds`; each holds by itself, the lowest new one is told"
    LET_GO = "it is at least `rearm` above that threshold again; the highest let go is told"
    SEVERITY = "warning; critical for the lowest of several thresholds"

    thresholds: Thresholds = Field(
        default=(70.0, 60.0),
        description="Scores below which the rule holds; the lowest of several is critical.",
    )
    rearm: AtLeast0 = Field(
        default=1.0, description="How far above a threshold the score must rise to let it go."
    )


class SubmissionScoreDrop(Parameters):
    """A submission was graded again, much lower."""

    JUDGED_ON = "a submission graded again, whole both times, out of the same points"
    HOLDS = "it lost `min_drop_percent` or more of the points to be had; for staff when it is or was muted"
    LET_GO = "never: each such event stands alone"
    SEVERITY = "warning"

    min_drop_percent: Above0 = Field(
        default=20.0, description="Drop, in percent of the points to be had, from which it is told."
    )


class LowAssignmentAverage(Parameters):
    """The newest graded submissions are poor on average."""

    JUDGED_ON = "a grade that changes the newest `last` graded and posted submissions"
    HOLDS = "their mean percent is under `below`, and there are at least `min_count` of them"
    LET_GO = "the mean is at least `below` and `rearm` together"
    SEVERITY = "warning"

    last: Annotated[
        int, Field(ge=1, le=LIMITS.submissions), Right(f"a whole number from 1 to {LIMITS.submissions}")
    ] = Field(default=5, description="How many of the newest graded submissions count.")
    min_count: Annotated[int, Field(ge=1), Right("a whole number of at least 1")] = Field(
        default=3, description="How many of them there must be."
    )
    below: Percent = Field(default=60.0, description="Mean percent below which the rule holds.")
    rearm: AtLeast0 = Field(
        default=5.0, description="How far above it the mean must rise to let the rule go."
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what can't be meant together."""
        if self.min_count > self.last:
            yield Contradiction(
                ("min_count", "last"),
                f"min_count is greater than last ({self.min_count} and {self.last}), so the rule would never "
                f"hold; did you mean min_count = {self.last}?",
            )


class OverrideDivergence(Parameters):
    """An override is far from the computed final score."""

    JUDGED_ON = "an override of the final score, or new scores of a course that has one"
    HOLDS = "the override is `min_gap` or more above or below the computed final score"
    LET_GO = "the gap is smaller, or the override is taken back"
    SEVERITY = "warning"

    min_gap: Above0 = Field(default=15.0, description="Gap from which the rule holds.")


class FinalStatusChanged(Parameters):
    """The custom status of a final grade changed."""

    JUDGED_ON = "a custom status of the final grade"
    HOLDS = "its name is another than before"
    LET_GO = "never: each such event stands alone"
    SEVERITY = "info"


class CoursesAtRisk(Parameters):
    """The posted scores of several courses are low at once."""

    ACROSS_COURSES = True
    JUDGED_ON = "a posted current score, or the deletion of a course's scores"
    HOLDS = "the score is under `below` in at least `min_courses` of the student's courses"
    LET_GO = "it is in fewer"
    SEVERITY = "warning"

    below: Percent = Field(default=70.0, description="Score below which a course is at risk.")
    min_courses: Annotated[int, Field(ge=1, le=10_000), Right("a whole number from 1 to 10000")] = Field(
        default=2, description="Courses at risk from which the rule holds."
    )


class CourseWideDrop(Parameters):
    """The posted scores of many students of one course fell at once; for staff only."""

    JUDGED_ON = "every `score_drop` that opens in a course"
    HOLDS = "`min_students` different students have one within the same `window` of event time; told once"
    LET_GO = "never: each window stands alone"
    SEVERITY = "critical"

    min_students: Annotated[int, Field(ge=1, le=10_000), Right("a whole number from 1 to 10000")] = Field(
        default=10, description="Different students from which the course is told of."
    )
    window: DropWindow = Field(
        default=3_600_000, description="Length of the windows, which begin at its multiples since 1970 (UTC)."
    )


class Rules(BaseModel):
    """The parameters of every rule, as they apply to one course."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    score_drop: ScoreDrop = ScoreDrop()
    threshold_crossed: ThresholdCrossed = ThresholdCrossed()
    submission_score_drop: SubmissionScoreDrop = SubmissionScoreDrop()
    low_assignment_average: LowAssignmentAverage = LowAssignmentAverage()
    override_divergence: OverrideDivergence = OverrideDivergence()
    final_status_changed: FinalStatusChanged = FinalStatusChanged()
    courses_at_risk: CoursesAtRisk = CoursesAtRisk()
    hidden_score_drop: HiddenScoreDrop = HiddenScoreDrop()
    course_wide_drop: CourseWideDrop = CourseWideDrop()


DEFAULT_RULES = Rules()

PARAMETERS: Mapping[str, type[Parameters]] = MappingProxyType({name: type(p) for name, p in DEFAULT_RULES})
"""The parameters of each rule, by its name, in the order of the documentation."""


def as_written(rule: str, parameter: str, value: Any) -> Any:
    """Return the value of a parameter as a rules file has it: a duration as text, thresholds as a list."""
    if isinstance(value, tuple):
        return list(value)
    metadata = PARAMETERS[rule].model_fields[parameter].metadata
    is_duration = any(isinstance(each, BeforeValidator) for each in metadata)
    return duration_as_written(value) if is_duration else value


def right_value(parameters: type[Parameters], parameter: str) -> str:
    """Return in words what a parameter may be."""
    (right,) = (each for each in parameters.model_fields[parameter].metadata if isinstance(each, Right))
    return right.text
