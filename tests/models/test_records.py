import copy
import hashlib
import json
import pickle
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from models.grades import read
from models.records import (
    RECORD_TYPES,
    CourseGradeChange,
    FinalGradeCustomStatus,
    GradeChange,
    GradeOverride,
    GradeRecord,
    GradeRecordBase,
    MisnamedGradeOverride,
    decode_record,
    encode_record,
    event_id,
)

EXAMPLE: dict[str, Any] = {
    "type": "grade_change",
    "event_time": "2019-12-11T16:26:34.000Z",
    "root_account_uuid": "r",
    "user_id": "2",
    "course_id": None,
    "submission_id": "7",
    "assignment_id": None,
    "grade": "é",
    "old_grade": None,
    "score": 8.0,
    "old_score": None,
    "points_possible": 10.0,
    "old_points_possible": None,
    "grader_id": None,
    "grading_complete": None,
    "muted": None,
}


def example(**changes: Any) -> GradeChange:
    fields = EXAMPLE | changes
    return GradeChange(event_id=event_id(GradeChange, fields), **fields)


def digest(identity: bytes) -> str:
    return hashlib.sha256(identity).hexdigest()[:32]


def test_event_id_is_taken_over_exactly_these_bytes() -> None:
    identity = (
        '["grade_change","2019-12-11T16:26:34.000Z","r","2",null,"7",null,"é",null,8.0,null,10.0,'
        "null,null,null,null]"
    )
    assert event_id(GradeChange, EXAMPLE) == digest(identity.encode())
    assert event_id(GradeChange, EXAMPLE) == "df4ea53221a97722ed6e2384f55d151d"


@pytest.mark.parametrize(
    ("score", "printed"),
    [
        ("85", b"85.0"),
        ("85.50", b"85.5"),
        ("0", b"0.0"),
        ("-0", b"0.0"),
        ("-0.0", b"-0.0"),
        ("1e16", b"1e+16"),
        ("10000000000000000", b"1e+16"),
        ("1000000000000000", b"1000000000000000.0"),
        ("123456789012345.6", b"123456789012345.6"),
        ("1e-7", b"1e-7"),
        ("0.00001", b"0.00001"),
        ("5e-324", b"5e-324"),
        ("1e-400", b"0.0"),
        ("0.1", b"0.1"),
        ("0.30000000000000004", b"0.30000000000000004"),
        ("1.7976931348623157e308", b"1.7976931348623157e+308"),
    ],
)
def test_event_id_prints_scores_as_floats(score: str, printed: bytes) -> None:
    value = (
        '{"metadata": {"event_name": "grade_change", "event_time": "2019-12-11T16:26:34Z",'
        f' "root_account_uuid": "r"}}, "body": {{"user_id": "2", "submission_id": "7", "score": {score}}}}}'
    ).encode()
    record = read(value)
    identity = (
        b'["grade_change","2019-12-11T16:26:34.000Z","r","2",null,"7",null,null,null,'
        + printed
        + b",null,null,null,null,null,null]"
    )
    assert isinstance(record, GradeChange)
    assert record.event_id == digest(identity)
    assert read(value.replace(score.encode() + b"}}", b'"' + score.encode() + b'"}}')) == record


def test_event_id_leaves_out_who_and_which_job() -> None:
    assert example().event_id == example(actor_id="9", job_id="j").event_id
    assert example().event_id != example(muted=False).event_id


@pytest.mark.parametrize("record_type", [*RECORD_TYPES.values(), MisnamedGradeOverride])
def test_fields_stand_in_the_order_of_the_contract(record_type: type[GradeRecord]) -> None:
    common = ["event_id", "type", "event_time", "root_account_uuid", "user_id", "course_id"]
    common += ["actor_id", "job_id"]
    assert list(record_type.model_fields) == [*common, *record_type.OWN_IDENTITY]
    assert list(record_type.COMMON_IDENTITY) == common[1:-2]


def test_own_fields_of_the_identity_are_fixed() -> None:
    override = "score_id enrollment_id grading_period_id override_score old_override_score updated_at"
    fixed: dict[type[GradeRecordBase], str] = {
        CourseGradeChange: "workflow_state created_at updated_at current_score old_current_score final_score "
        "old_final_score unposted_current_score old_unposted_current_score unposted_final_score "
        "old_unposted_final_score",
        GradeChange: "submission_id assignment_id grade old_grade score old_score points_possible "
        "old_points_possible grader_id grading_complete muted",
        GradeOverride: override,
        MisnamedGradeOverride: override,
        FinalGradeCustomStatus: "score_id enrollment_id grading_period_id override_status "
        "override_status_id old_override_status old_override_status_id updated_at",
    }
    assert {record_type: " ".join(record_type.OWN_IDENTITY) for record_type in fixed} == fixed


def test_key_and_time_of_a_record() -> None:
    record = example(root_account_uuid="Schülé", user_id="48")
    assert record.key == "Schülé:48".encode()
    assert record.event_time_ms == 1_576_081_594_000


def test_unknown_means_muted_incomplete_and_active() -> None:
    assert [example(muted=muted).is_muted for muted in (None, True, False)] == [True, True, False]
    assert [example(grading_complete=done).is_complete for done in (None, True, False)] == [
        False,
        True,
        False,
    ]
    common = {"event_id": "0" * 32, "event_time": EXAMPLE["event_time"], "root_account_uuid": "r"}
    states = ("active", "deleted", None, "Deleted")
    rows = [CourseGradeChange(**common, user_id="2", course_id="3", workflow_state=state) for state in states]
    assert [row.is_deleted for row in rows] == [False, True, False, False]


def test_a_record_is_frozen_and_checked() -> None:
    with pytest.raises(ValidationError):
        example().score = 1.0  # type: ignore[misc]
    for wrong in ({"score": float("nan")}, {"user_id": "x"}, {"event_time": "2019-12-11"}, {"muted": 1}):
        with pytest.raises(ValidationError):
            example(**wrong)


def test_a_record_built_from_checked_values_is_like_any_other() -> None:
    checked = GradeChange.from_checked({"event_id": None, **_in_order(EXAMPLE)})
    assert checked == example()
    assert hash(checked) == hash(example())
    assert repr(checked) == repr(example())
    assert checked.model_dump_json() == example().model_dump_json()
    assert checked.model_copy(update={"score": 9.0}).score == 9.0
    assert checked.model_fields_set == set(GradeChange.model_fields)
    for copied in (copy.copy(checked), copy.deepcopy(checked), pickle.loads(pickle.dumps(checked))):  # noqa: S301
        assert copied == checked
        assert encode_record(copied) == encode_record(checked)


def _in_order(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields.get(name) for name in GradeChange.model_fields if name != "event_id"}


def test_encoded_record_has_every_field_and_floats() -> None:
    value = encode_record(example())
    assert list(json.loads(value)) == list(GradeChange.model_fields)
    assert b'"score":8.0,"old_score":null' in value
    assert decode_record(value) == example()


def test_misnamed_override_is_written_and_read_as_an_override() -> None:
    fields = {"event_id": "0" * 32, "event_time": EXAMPLE["event_time"], "root_account_uuid": "r"}
    misnamed = MisnamedGradeOverride(**fields, user_id="2", course_id="3", override_score=90.0)
    override = GradeOverride(**fields, user_id="2", course_id="3", override_score=90.0)
    assert encode_record(misnamed) == encode_record(override)
    assert decode_record(encode_record(misnamed)) == override


def test_a_record_of_a_neighbouring_release_is_read() -> None:
    fields = json.loads(encode_record(example()))
    del fields["old_points_possible"]
    assert decode_record(orjson.dumps(fields | {"late": True})) == example()


def test_a_record_is_read_however_its_json_is_written() -> None:
    fields = json.loads(encode_record(example()))
    backwards = dict(reversed(fields.items()))
    for value in (json.dumps(fields), json.dumps(backwards), json.dumps({"type": "grade_override"} | fields)):
        assert encode_record(decode_record(value.encode())) == encode_record(example())
    twice = encode_record(example())[:-1] + b',"type":"grade_override","course_id":"3"}'
    assert isinstance(decode_record(twice), GradeOverride), "of duplicate keys the last counts"


SECRET = "S3CRET"  # noqa: S105  stands for what must not show
JUNK: list[dict[str, Any]] = [
    {"type": SECRET},
    {"event_id": SECRET},
    {"event_id": "F" * 32},
    {"event_time": SECRET},
    {"event_time": "2019-02-30T16:26:34.000Z"},
    {"event_time": "2019-12-11T16:26:34Z"},
    {"event_time": "2019-12-11T24:00:00.000Z"},
    {"root_account_uuid": ""},
    {"root_account_uuid": SECRET * 50},
    {"user_id": SECRET},
    {"user_id": 2},
    {"user_id": "\u0663"},
    {"actor_id": "1\n"},
    {"user_id": None},
    {"submission_id": None},
    {"score": SECRET},
    {"score": "8.0"},
    {"score": True},
    {"muted": SECRET},
    {"muted": 1},
    {"grade": [SECRET]},
]


@pytest.mark.parametrize("junk", JUNK, ids=str)
def test_junk_is_refused_without_its_values(junk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^not a grade record \(") as refusal:
        decode_record(orjson.dumps(json.loads(encode_record(example())) | junk))
    _says_no_value(refusal.value)
    if "type" not in junk:
        assert next(iter(junk)) in str(refusal.value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'"S3CRET"',
        b'{"S3CRET',
        b"[" * 100_000,
        b'{"type": ' + b"[" * 5_000,
        encode_record(example()).replace(b"8.0", b"NaN"),
        encode_record(example()).replace(b"8.0", b"1e999"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_bytes_that_are_no_record_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a grade record \(") as refusal:
        decode_record(value)
    _says_no_value(refusal.value)


def _says_no_value(error: BaseException | None) -> None:
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("updated_at", ["2019-02-30T16:26:34.000Z", "2019-02-28T16:26:34.000Z", None])
def test_the_time_of_the_row_is_a_day_too(updated_at: str | None) -> None:
    fields = dict.fromkeys(GradeOverride.model_fields) | EXAMPLE
    fields = {name: fields[name] for name in GradeOverride.model_fields}
    fields |= {"type": "grade_override", "course_id": "3", "event_id": "0" * 32, "updated_at": updated_at}
    value = orjson.dumps(fields)
    if updated_at is not None and "-30T" in updated_at:
        with pytest.raises(ValueError, match="no such day"):
            decode_record(value)
    else:
        assert isinstance(decode_record(value), GradeOverride)
