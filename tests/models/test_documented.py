"""The quick reading: taken for what is documented, left alone otherwise, and never of another opinion."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.canvas import GRADE_EVENT_NAMES, GRADE_EVENTS
from models.documented import read_documented
from models.grades import DEFAULT_LIMITS, read
from models.records import RECORD_TYPES, GradeRecordBase
from tests.models.outcomes import outcome_of
from tests.models.reference_reader import read_plainly
from tests.models.test_canvas import documented
from tests.models.test_fixtures import CASES
from tests.models.test_grades import GOOD, SPLICES, event, events, names, value_of

LATEST_MS = 4_102_444_800_000


def quickly(value: bytes, name: str, latest_ms: int | None = None) -> dict[str, Any] | None:
    record = read_documented(value, name, latest_ms)
    return None if record is None else dict(record)


@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
def test_documented_events_are_read_quickly(name: str) -> None:
    document = documented(name)
    if name == "grade_change":
        document["body"] |= {"submission_id": "21070000000000048", "assignment_name": "Läb 3"}
        for field in ("score_id", "enrollment_id", "course_id", "grading_period_id"):
            document["body"].pop(field, None)
        for field in ("override_score", "old_override_score", "updated_at"):
            document["body"].pop(field, None)
    written = GRADE_EVENTS[name].model_validate(document).model_dump_json(exclude_none=True).encode()
    for value in (value_of(document), json.dumps(document, indent=1).encode(), written):
        record = read_documented(value, name, LATEST_MS)
        assert type(record) is RECORD_TYPES[name]
        assert outcome_of(record) == read_plainly(value)


@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
def test_every_documented_field_is_known(name: str) -> None:
    metadata, body = (GRADE_EVENTS[name].model_fields[part].annotation for part in ("metadata", "body"))
    for part, model in (("metadata", metadata), ("body", body)):
        for field in model.model_fields:  # type: ignore[union-attr]  # they are models
            document = event(name)
            document[part].setdefault(field, None)
            assert quickly(value_of(document), name) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"x": "1"}},
        {"body": {"x": "1"}},
        {"x": 1},
        {"attributes": {}},
        {"metadata": {"job_id": 7}},
        {"metadata": {"user_id": "9" * 20}},
        {"metadata": {"context_id": "9" * 20}},
        {"metadata": {"event_time": "2026-10-05T14:03:22"}},
        {"metadata": {"event_time": None}},
        {"metadata": {"root_account_uuid": ""}},
        {"metadata": {"root_account_uuid": "r" * 256}},
        {"body": {"user_id": 48}},
        {"body": {"user_id": None}},
        {"body": {"user_id": "x"}},
        {"body": {"score": "1"}, "name": "grade_change"},
        {"body": {"submission_id": ""}, "name": "grade_change"},
        {"body": {"student_id": "x"}, "name": "grade_change"},
        {"body": {"created_at": "2026-02-30T00:00:00Z"}},
        {"body": {"course_id": None}},
        {"body": {"override_status": "x" * 256}, "name": "final_grade_custom_status"},
    ],
    ids=str,
)
def test_all_else_is_left_to_the_strict_reading(change: dict[str, Any]) -> None:
    name = change.pop("name", "course_grade_change")
    document = event(name)
    assert quickly(value_of(document), name) is not None
    for part, content in change.items():
        document[part] = document[part] | content if part in ("metadata", "body") else content
    value = value_of(document)
    assert quickly(value, name) is None
    assert outcome_of(read(value)) == read_plainly(value)


def test_an_event_of_the_future_is_left_to_the_strict_reading() -> None:
    value, at = value_of(event("grade_change")), 1_791_209_002_417
    assert quickly(value, "grade_change", at) is not None
    assert quickly(value, "grade_change", at - 1) is None


def _quick_is_right(value: bytes, name: str, timestamp: int | None = None) -> None:
    latest_ms = None if timestamp is None or timestamp < 0 else timestamp + DEFAULT_LIMITS.max_future_ms
    record = read_documented(value, name, latest_ms)
    if record is not None:
        assert isinstance(record, GradeRecordBase)
        assert outcome_of(record) == read_plainly(value, timestamp)


numbers = st.floats(allow_nan=False).map(json.dumps) | st.integers().map(str)
numbers |= st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?\Z")


@settings(max_examples=300, deadline=None)
@given(numbers)
@example("-0")
@example("1" * 400)
@example("9007199254740993")
@example("1.7976931348623159e308")
def test_numbers_are_those_of_the_strict_reading(number: str) -> None:
    value = value_of(event("grade_change", score="?")).replace(b'"?"', number.encode())
    _quick_is_right(value, "grade_change")


@settings(max_examples=300, deadline=None)
@given(
    events(),
    names,
    st.integers(0),
    st.integers(0, 9),
    st.sampled_from([b"", *SPLICES, b"\\u0000", b",", b":"]),
)
def test_damaged_bytes_are_read_as_by_the_strict_reading(
    document: dict[str, Any], name: str, begin: int, length: int, splice: bytes
) -> None:
    if isinstance(document.get("metadata"), dict):
        document["metadata"]["event_name"] = name
    value = value_of(document)
    begin %= len(value)
    _quick_is_right(value[:begin] + splice + value[begin + length :], name)


FIELDS_TWICE = [
    b'"user_id":"2",',
    b'"course_id":"",',
    b'"score":null,',
    b'"updated_at":"' + str(GOOD["time"]).encode() + b'",',
]


@pytest.mark.parametrize("twice", FIELDS_TWICE, ids=str)
@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
def test_of_duplicate_keys_the_last_counts(name: str, twice: bytes) -> None:
    value = value_of(event(name))
    for before in (b'"body": {', b'"flag": false'):
        _quick_is_right(value.replace(before, before + twice), name)
    _quick_is_right(value[:-2] + b"," + twice[:-1] + b"}}", name)
    _quick_is_right(value[:-1] + b',"body":' + value[value.index(b'"body": ') + 8 :], name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
def test_recorded_events_are_read_as_by_the_strict_reading(case: str, name: str) -> None:
    value = CASES[case].read_bytes()
    if b'"event_name": "' + name.encode() + b'"' in value:
        _quick_is_right(value, name)
