import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.alerts import Alert, alert_id, decode_alert, encode_alert

FIELDS = [
    *("alert_id", "rule", "status", "severity", "audience", "root_account_uuid", "user_id", "course_id"),
    *("assignment_id", "submission_id", "subject", "event_id", "event_time", "detected_at"),
    *("value", "previous", "reference", "message"),
]


def alert(**changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "alert_id": "0" * 32,
        "rule": "score_drop",
        "status": "opened",
        "severity": "critical",
        "audience": "student",
        "root_account_uuid": "r",
        "user_id": "48",
        "course_id": "565",
        "assignment_id": None,
        "submission_id": None,
        "subject": None,
        "event_id": "1" * 32,
        "event_time": "2026-10-05T14:03:22.417Z",
        "detected_at": "2026-10-05T14:03:22.630Z",
        "value": 61.5,
        "previous": 88.0,
        "reference": 88.0,
        "message": "The current score fell by 26.5 points within 7 days.",
    }
    return Alert(**(fields | changes))


def test_alert_has_its_fields_in_order_and_every_one_when_written() -> None:
    assert list(Alert.model_fields) == FIELDS
    value = encode_alert(alert(value=70, previous=None))
    assert list(json.loads(value)) == FIELDS
    assert b'"value":70.0,"previous":null' in value
    assert decode_alert(value) == alert(value=70.0, previous=None)


def test_alert_id_is_taken_over_exactly_these_bytes() -> None:
    identity = f'["threshold_crossed","opened","Schülé:48","565","60","{"1" * 32}"]'
    assert (
        alert_id(
            rule="threshold_crossed",
            status="opened",
            key="Schülé:48".encode(),
            course_id="565",
            subject="60",
            event_id="1" * 32,
        )
        == hashlib.sha256(identity.encode()).hexdigest()[:32]
    )


def test_alert_id_of_a_course_wide_drop_has_no_event() -> None:
    identity = b'["course_wide_drop","opened","r:565","565","2026-10-05T14:00:00.000Z",null]'
    course = alert(rule="course_wide_drop", user_id=None)
    assert course.key == b"r:565"
    assert (
        alert_id(
            rule="course_wide_drop",
            status="opened",
            key=course.key,
            course_id="565",
            subject="2026-10-05T14:00:00.000Z",
            event_id=None,
        )
        == hashlib.sha256(identity).hexdigest()[:32]
    )


def test_key_of_a_students_alert_is_the_students() -> None:
    assert alert().key == b"r:48"
    assert alert(rule="courses_at_risk", course_id=None).key == b"r:48"


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "closed"},
        {"severity": "fatal"},
        {"audience": "parents"},
        {"rule": "Score Drop"},
        {"value": float("inf")},
        {"detected_at": "2026-10-05"},
        {"message": None},
    ],
    ids=str,
)
def test_an_alert_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        alert(**wrong)


@pytest.mark.parametrize("value", [b"", b"{}", b'{"status": "S3CRET"}', b'"S3CRET"', b"\xff"], ids=str)
def test_what_is_no_alert_is_refused_without_its_values(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not an alert \(") as refusal:
        decode_alert(value)
    assert "S3CRET" not in str(refusal.value)
    assert refusal.value.__context__ is None
