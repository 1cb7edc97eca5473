"""Snapshots: a student's posted standing in one course, the value of the compacted `student-scores` topic."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.fields import Id, RootAccountUuid, Score, Time
from models.records import problems_of

_FROZEN = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)


class GradingPeriodScores(BaseModel):
    """What was set by hand for one grading period."""

    model_config = _FROZEN

    override_score: Score | None = Field(description="Percent set by hand; null when none.")
    custom_status: str | None = Field(description="Name of the custom status; null when none.")


class ScoreWindow(BaseModel):
    """The posted current scores of the newest days. All null when there are none."""

    model_config = _FROZEN

    days: Score = Field(description="The window's length in days, back from the newest score.")
    points: int = Field(description="How many scores lie in the window.")
    first: Score | None = Field(description="The earliest of them.")
    last: Score | None = Field(description="The newest.")
    min: Score | None = Field(description="The lowest.")
    max: Score | None = Field(description="The highest.")
    mean: Score | None = Field(description="Their arithmetic mean.")
    change: Score | None = Field(description="Last minus first.")
    slope_per_day: Score | None = Field(
        description="Points gained a day, by least squares; null under two distinct times."
    )


class AssignmentScores(BaseModel):
    """The newest graded and posted submissions that are kept."""

    model_config = _FROZEN

    graded: int = Field(description="How many submissions are graded completely and posted.")
    mean_percent: Score | None = Field(description="Mean percent of the newest five that are worth points.")
    last_percent: Score | None = Field(description="Percent of the newest of those.")


class StudentScoresSnapshot(BaseModel):
    """One student in one course, posted values only: whatever a student may see."""

    model_config = _FROZEN

    root_account_uuid: RootAccountUuid = Field(description="The school: uuid of the root account.")
    user_id: Id = Field(description="The student.")
    course_id: Id = Field(description="The course.")
    updated_at: Time = Field(description="Time of the newest event that shows in this snapshot.")
    current_score: Score | None = Field(description="Percent of what is graded and posted.")
    final_score: Score | None = Field(description="Percent where ungraded work counts as zero.")
    override_score: Score | None = Field(description="Final grade set by hand; null when none.")
    effective_final_score: Score | None = Field(description="The override, or else the final score.")
    custom_status: str | None = Field(description="Name of the custom status; null when none.")
    grading_periods: dict[Id, GradingPeriodScores] = Field(
        description="Overrides and statuses by grading period; without periods that have neither."
    )
    window: ScoreWindow = Field(description="The newest days of current_score.")
    assignments: AssignmentScores = Field(description="The newest graded submissions.")
    alerts_open: list[str] = Field(description="Rules that now hold for the student in this course, sorted.")

    @property
    def key(self) -> bytes:
        """The message key: `root_account_uuid:user_id:course_id`."""
        return f"{self.root_account_uuid}:{self.user_id}:{self.course_id}".encode()


def encode_snapshot(snapshot: StudentScoresSnapshot) -> bytes:
    """Return the snapshot as JSON with every field, null when unknown."""
    return snapshot.__pydantic_serializer__.to_json(snapshot)


def decode_snapshot(value: bytes) -> StudentScoresSnapshot:
    """Return the snapshot that `encode_snapshot` wrote; ValueError, naming no value, on others."""
    try:
        return StudentScoresSnapshot.model_validate_json(value)
    except ValidationError as error:
        problems = problems_of(error)
    raise ValueError(f"not a snapshot ({problems})")
