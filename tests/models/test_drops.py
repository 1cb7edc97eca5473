import orjson
import pytest

from models.drops import CourseDrop, decode_course_drop, encode_course_drop


def drop(**fields: str) -> CourseDrop:
    whole = {
        "alert_id": "a" * 32,
        "event_id": "b" * 32,
        "event_time": "2026-10-05T14:03:22.417Z",
        "root_account_uuid": "r",
        "course_id": "565",
        "user_id": "48",
    }
    return CourseDrop.model_validate({**whole, **fields})


def test_it_is_keyed_by_its_course() -> None:
    assert drop().key == b"r:565"
    assert drop().event_time_ms == 1_791_209_002_417


def test_it_survives_its_encoding_with_every_field_described() -> None:
    assert decode_course_drop(encode_course_drop(drop())) == drop()
    assert list(orjson.loads(encode_course_drop(drop()))) == list(CourseDrop.model_fields)
    assert all(field.description for field in CourseDrop.model_fields.values())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "value: json_invalid"),
        (b"{}", "alert_id: missing, event_id: missing, event_time: missing"),
        (encode_course_drop(drop()).replace(b'"48"', b'"secret"'), "user_id: string_pattern_mismatch"),
        (encode_course_drop(drop()).replace(b"2026-10-05", b"2026-02-30"), "event_time: no such day"),
    ],
)
def test_what_is_no_drop_is_refused_without_its_values(value: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match="not a course drop") as refusal:
        decode_course_drop(value)
    assert problem in str(refusal.value)
    assert "secret" not in str(refusal.value)
