import json
from typing import Any

import pytest

from models.snapshots import (
    AssignmentScores,
    GradingPeriodScores,
    ScoreWindow,
    StudentScoresSnapshot,
    decode_snapshot,
    encode_snapshot,
)

EMPTY_WINDOW = ScoreWindow(
    days=7.0,
    points=0,
    first=None,
    last=None,
    min=None,
    max=None,
    mean=None,
    change=None,
    slope_per_day=None,
)


def snapshot(**changes: Any) -> StudentScoresSnapshot:
    fields: dict[str, Any] = {
        "root_account_uuid": "Schülé",
        "user_id": "48",
        "course_id": "565",
        "updated_at": "2026-10-05T14:03:22.417Z",
        "current_score": 85,
        "final_score": None,
        "override_score": None,
        "effective_final_score": None,
        "custom_status": None,
        "grading_periods": {"47": GradingPeriodScores(override_score=90.0, custom_status=None)},
        "window": EMPTY_WINDOW,
        "assignments": AssignmentScores(graded=0, mean_percent=None, last_percent=None),
        "alerts_open": ["score_drop"],
    }
    return StudentScoresSnapshot(**(fields | changes))


def test_snapshot_is_written_with_every_field_in_order() -> None:
    assert (
        encode_snapshot(snapshot())
        == (
            '{"root_account_uuid":"Schülé","user_id":"48","course_id":"565",'
            '"updated_at":"2026-10-05T14:03:22.417Z","current_score":85.0,"final_score":null,'
            '"override_score":null,"effective_final_score":null,"custom_status":null,'
            '"grading_periods":{"47":{"override_score":90.0,"custom_status":null}},'
            '"window":{"days":7.0,"points":0,"first":null,"last":null,"min":null,"max":null,"mean":null,'
            '"change":null,"slope_per_day":null},'
            '"assignments":{"graded":0,"mean_percent":null,"last_percent":null},"alerts_open":["score_drop"]}'
        ).encode()
    )


def test_snapshot_survives_its_topic() -> None:
    assert decode_snapshot(encode_snapshot(snapshot())) == snapshot()
    assert encode_snapshot(decode_snapshot(encode_snapshot(snapshot()))) == encode_snapshot(snapshot())


def test_key_of_a_snapshot_names_student_and_course() -> None:
    assert snapshot().key == "Schülé:48:565".encode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"current_score": "S3CRET"},
        {"grading_periods": {"S3CRET": {"override_score": 1.0, "custom_status": None}}},
        {"grading_periods": {"47": {"override_score": "S3CRET", "custom_status": None}}},
        {"updated_at": "S3CRET"},
        {"window": None},
    ],
    ids=str,
)
def test_what_is_no_snapshot_is_refused_without_its_values(wrong: dict[str, Any]) -> None:
    fields = json.loads(encode_snapshot(snapshot())) | wrong
    with pytest.raises(ValueError, match=r"^not a snapshot \(") as refusal:
        decode_snapshot(json.dumps(fields).encode())
    assert next(iter(wrong)) in str(refusal.value)
    assert "S3CRET" not in str(refusal.value)
    assert refusal.value.__context__ is None
