"""Alerts: what other services are told when something about a grade needs a person."""

import hashlib
from typing import Annotated, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.fields import EventId, Id, RootAccountUuid, Score, Time
from models.records import problems_of

Status: TypeAlias = Literal["opened", "escalated", "resolved"]
Severity: TypeAlias = Literal["info", "warning", "critical"]
Audience: TypeAlias = Literal["student", "staff"]


class Alert(BaseModel):
    """One alert. `detected_at` is the only field that differs when the same events are processed again."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    alert_id: EventId = Field(description="Identifies the alert; subscribers drop repeats by it.")
    rule: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="The rule that speaks."
    )
    status: Status = Field(description="Whether what the rule watches began, grew worse, or ended.")
    severity: Severity = Field(description="How urgent it is; whatever is resolved is info.")
    audience: Audience = Field(description='"staff" where a grade is involved that the student cannot see.')
    root_account_uuid: RootAccountUuid = Field(description="The school: uuid of the root account.")
    user_id: Id | None = Field(description="The student; null when the alert is about a course.")
    course_id: Id | None = Field(description="The course; null when it is about several.")
    assignment_id: Id | None = Field(description="The assignment, where one is meant.")
    submission_id: Id | None = Field(description="The submission, where one is meant.")
    subject: str | None = Field(
        description="What tells alerts of one rule and event apart: threshold, submission or window start."
    )
    event_id: EventId | None = Field(description="The event that led to it; null for a course-wide drop.")
    event_time: Time = Field(description="That event's time; the window's start for a course-wide drop.")
    detected_at: Time = Field(description="When the worker found it.")
    value: Score | str | None = Field(description="The value judged: the new score, or the name of a status.")
    previous: Score | str | None = Field(description="The value before, as it was kept.")
    reference: Score | None = Field(description="What it was judged against, such as peak or threshold.")
    message: str = Field(description="One plain English sentence without any name.")

    @property
    def key(self) -> bytes:
        """The message key: the student's; of an alert about a course `root_account_uuid:course_id`."""
        return f"{self.root_account_uuid}:{self.course_id if self.user_id is None else self.user_id}".encode()


def alert_id(
    *, rule: str, status: Status, key: bytes, course_id: str | None, subject: str | None, event_id: str | None
) -> str:
    """Return the id of an alert: the first 32 hexadecimal digits of a SHA-256 over what tells it apart.

    `key` is the alert's message key. The hashed bytes, a JSON array as `orjson` writes it, are a contract:
    whenever and however often the same events are processed, the ids are the same.
    """
    identity = orjson.dumps([rule, status, key.decode(), course_id, subject, event_id])
    return hashlib.sha256(identity).hexdigest()[:32]


def encode_alert(alert: Alert) -> bytes:
    """Return the alert as JSON with every field, null when unknown."""
    return orjson.dumps(alert.__dict__)


def decode_alert(value: bytes) -> Alert:
    """Return the alert that `encode_alert` wrote; ValueError, naming no value, on others."""
    try:
        return Alert.model_validate_json(value)
    except ValidationError as error:
        problems = problems_of(error)
    raise ValueError(f"not an alert ({problems})")
