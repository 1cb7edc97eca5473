"""The parameters of the rules, their defaults, and what is a mistake in them.

Field names are the names an operator writes. Scores, drops and gaps are percent points; durations are
written as text, "7d", "12h" or "30m", and kept in milliseconds.
"""

import re
from typing import Annotated, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

from tables.scores import DAY_MS, LIMITS

_UNIT_MS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000}
_duration = re.compile(r"([0-9]{1,9})([dhm])").fullmatch


def _milliseconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _duration(value)
    if match is None:
        raise ValueError(
            'a duration is a whole number of days, hours or minutes, such as "7d", "12h" or "30m"'
        )
    return int(match[1]) * _UNIT_MS[match[2]]


def _from_the_highest(thresholds: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(thresholds), reverse=True))


Milliseconds: TypeAlias = Annotated[int, BeforeValidator(_milliseconds)]
Window: TypeAlias = Annotated[Milliseconds, Field(ge=1, le=LIMITS.points_ms)]
"""Reaches back no further than points are kept."""
Above0: TypeAlias = Annotated[FiniteFloat, Field(gt=0)]
AtLeast0: TypeAlias = Annotated[FiniteFloat, Field(ge=0)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Thresholds: TypeAlias = Annotated[
    tuple[FiniteFloat, ...],
    Field(strict=False, min_length=1, max_length=16),
    AfterValidator(_from_the_highest),
]
"""Kept from the highest to the lowest, each once."""


class Parameters(BaseModel):
    """What every rule has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether the rule is judged at all.")


class ScoreDrop(Parameters):
    """The posted score fell far below its recent peak."""

    min_drop: Above0 = Field(default=10.0, description="Drop below the peak from which the rule holds.")
    critical_drop: Above0 = Field(default=20.0, description="Drop from which it is critical.")
    window: Window = Field(default=7 * DAY_MS, description="How far back the peak is looked for.")
    rearm: AtLeast0 = Field(
        default=5.0, description="How far the drop must ease below min_drop to let the rule go."
    )

    @model_validator(mode="after")
    def _critical_is_more(self) -> Self:
        if self.critical_drop < self.min_drop:
            raise ValueError("critical_drop is smaller than min_drop")
        return self


class HiddenScoreDrop(ScoreDrop):
    """The score with unposted grades fell far below its recent peak; for staff only."""

    enabled: bool = Field(default=False, description="Whether the rule is judged at all.")


class ThresholdCrossed(Parameters):
    """The posted score fell below a threshold."""

    thresholds: Thresholds = Field(
        default=(70.0, 60.0),
        description="Scores below which the rule holds; the lowest of several is critical.",
    )
    rearm: AtLeast0 = Field(
        default=1.0, description="How far above a threshold the score must rise to let it go."
    )


class SubmissionScoreDrop(Parameters):
    """A submission was graded again, much lower."""

    min_drop_percent: Above0 = Field(
        default=20.0, description="Drop, in percent of the points to be had, from which it is told."
    )


class LowAssignmentAverage(Parameters):
    """The newest graded submissions are poor on average."""

    last: Annotated[Count, Field(le=LIMITS.submissions)] = Field(
        default=5, description="How many of the newest graded submissions count."
    )
    min_count: Count = Field(default=3, description="How many of them there must be.")
    below: FiniteFloat = Field(default=60.0, description="Mean percent below which the rule holds.")
    rearm: AtLeast0 = Field(
        default=5.0, description="How far above it the mean must rise to let the rule go."
    )

    @model_validator(mode="after")
    def _enough_can_be_had(self) -> Self:
        if self.min_count > self.last:
            raise ValueError("min_count is greater than last")
        return self


class OverrideDivergence(Parameters):
    """An override is far from the computed final score."""

    min_gap: Above0 = Field(default=15.0, description="Gap from which the rule holds.")


class FinalStatusChanged(Parameters):
    """The custom status of a final grade changed."""


class CoursesAtRisk(Parameters):
    """The posted scores of several courses are low at once."""

    below: FiniteFloat = Field(default=70.0, description="Score below which a course is at risk.")
    min_courses: Count = Field(default=2, description="Courses at risk from which the rule holds.")


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


DEFAULT_RULES = Rules()
