"""Records read back quickly are those that pydantic reads, and none of what it refuses."""

import json
from typing import Annotated, Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from models.grades import read
from models.records import GradeChange, GradeRecord, GradeRecordBase, decode_record, encode_record
from models.times import epoch_ms
from tests.models.test_grades import HOSTILE, SPLICES, event, names, value_of

PYDANTIC: TypeAdapter[GradeRecord] = TypeAdapter(Annotated[GradeRecord, Field(discriminator="type")])


def read_by_pydantic(value: bytes) -> GradeRecord | None:
    try:
        record = PYDANTIC.validate_json(value)
        epoch_ms(record.event_time)
        if not isinstance(record, GradeChange) and record.updated_at is not None:
            epoch_ms(record.updated_at)
    except ValueError:
        return None
    return record


def agree(value: bytes) -> None:
    expected = read_by_pydantic(value)
    if expected is None:
        with pytest.raises(ValueError, match=r"^not a grade record \("):
            decode_record(value)
        return
    record = decode_record(value)
    assert record == expected
    assert type(record) is type(expected)
    assert encode_record(record) == encode_record(expected)
    assert record.model_fields_set == expected.model_fields_set


def encoded(name: str, **body: Any) -> bytes:
    record = read(value_of(event(name, **body)))
    assert isinstance(record, GradeRecordBase)
    return encode_record(record)


KINDS_OF_VALUES = [
    *HOSTILE,
    "2026-10-05T14:03:22.417Z",
    "2026-02-30T14:03:22.417Z",
    "2026-10-05T24:00:00.000Z",
]
KINDS_OF_VALUES += [
    "2026-10-05T14:03:22,417Z",
    "2026-10-05 14:03:22.417Z",
    "2026-W41-1T00:00:00.000Z",
    "grade_override",
]
KINDS_OF_VALUES += [
    "0" * 32,
    "F" * 32,
    "f" * 33,
    " " + "f" * 31,
    "²",
    "٣",
    "1\n",
    "1" * 19,
    "1" * 20,
    "é" * 255,
]
FIELDS = sorted(
    {
        field
        for name in ("course_grade_change", "grade_change", "final_grade_custom_status")
        for field in json.loads(encoded(name))
    }
)


@settings(max_examples=400, deadline=None)
@given(
    names,
    st.dictionaries(st.sampled_from([*FIELDS, "x"]), st.sampled_from(KINDS_OF_VALUES), max_size=3),
    st.lists(st.sampled_from(FIELDS), max_size=1),
    st.booleans(),
)
def test_records_with_changed_fields(
    name: str, changes: dict[str, Any], without: list[str], spaced: bool
) -> None:
    fields = json.loads(encoded(name))
    for field in without:
        fields.pop(field, None)
    fields |= {field: value for field, value in changes.items() if field in fields or field == "x"}
    agree(
        value_of(fields) if spaced else json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    )


@settings(max_examples=400, deadline=None)
@given(
    names,
    st.integers(0),
    st.integers(0, 9),
    st.sampled_from([b"", *SPLICES, b"\\u0000", b",", b":", b"0", b"f", b"Z"]),
)
def test_records_with_damaged_bytes(name: str, begin: int, length: int, splice: bytes) -> None:
    value = encoded(name)
    begin %= len(value)
    agree(value[:begin] + splice + value[begin + length :])


numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?\Z")


@settings(max_examples=300, deadline=None)
@given(numbers | st.floats().map(repr) | st.integers().map(str))
@example("-0")
@example("-0.0")
@example("9007199254740993")
@example("1" * 400)
@example("1.7976931348623159e308")
def test_numbers_of_records(number: str) -> None:
    agree(encoded("grade_change").replace(b'"score":8.5', b'"score":' + number.encode()))


@pytest.mark.parametrize("field", FIELDS)
def test_of_duplicate_fields_the_last_counts(field: str) -> None:
    for name in ("course_grade_change", "grade_change", "grade_override", "final_grade_custom_status"):
        value = encoded(name)
        for again in (b"null", b'"1"', b"1", b'"\xff"', orjson.dumps(json.loads(value).get(field))):
            agree(value[:-1] + b',"' + field.encode() + b'":' + again + b"}")
            agree(b'{"' + field.encode() + b'":' + again + b"," + value[1:])
