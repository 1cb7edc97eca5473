"""Reading raw events: order of reasons, limits, and agreement with a plain reading."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.canvas import CANVAS_EVENT_NAMES, GRADE_EVENT_NAMES
from models.grades import DEFAULT_LIMITS, Ignored, ReadLimits, Reason, Rejected, read
from models.records import RECORD_TYPES, CourseGradeChange, GradeRecordBase, decode_record, encode_record
from tests.models.outcomes import outcome_of
from tests.models.reference_reader import OWN, read_plainly
from tests.models.test_fixtures import CASES

METADATA = {
    "root_account_uuid": "r",
    "root_account_id": "21070000000000001",
    "context_type": "Course",
    "context_id": "21070000000000565",
    "user_id": "21070000000000987",
    "event_time": "2026-10-05T14:03:22.417Z",
}
GOOD = {
    "id": "21070000000000048",
    "text": "text",
    "status": "x" * 255,
    "time": "2026-10-05T14:03:21Z",
    "number": 8.5,
    "flag": False,
}


def event(name: str, metadata: Any = None, **body: Any) -> dict[str, Any]:
    full = {"user_id": "48", "course_id": "565"} | {field: GOOD[kind] for field, kind in OWN[name]}
    return {"metadata": METADATA | {"event_name": name} | (metadata or {}), "body": full | body}


def value_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def reason_of(value: bytes | None, timestamp: int | None = None) -> Reason | None:
    result = read(value, timestamp)
    return result.reason if isinstance(result, Rejected) else None


def test_reasons_stand_in_the_order_in_which_they_are_asked() -> None:
    assert [reason.value for reason in Reason] == [
        "empty",
        "too_large",
        "not_utf8",
        "invalid_json",
        "not_an_object",
        "missing_metadata",
        "missing_event_name",
        "invalid_metadata",
        "future_event",
        "invalid_body",
    ]


def test_the_first_reason_that_holds_is_given() -> None:
    """Mend one thing after the other; at each step all that comes later is still wrong."""
    no_body: dict[str, Any] = {"metadata": {"root_account_uuid": ""}, "body": 1}
    named = {"metadata": no_body["metadata"] | {"event_name": "grade_change"}, "body": 1}
    timely = {"metadata": METADATA | {"event_name": "grade_change"}, "body": 1}
    large = b" " * DEFAULT_LIMITS.max_value_bytes
    steps: list[tuple[bytes | None, Reason]] = [
        (None, Reason.EMPTY),
        (b"", Reason.EMPTY),
        (large + b"[\xff", Reason.TOO_LARGE),
        (b"[\xff", Reason.NOT_UTF8),
        (b"[", Reason.INVALID_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b"{}", Reason.MISSING_METADATA),
        (value_of(no_body), Reason.MISSING_EVENT_NAME),
        (value_of(named), Reason.INVALID_METADATA),
        (value_of(timely), Reason.FUTURE_EVENT),
    ]
    for value, reason in steps:
        assert reason_of(value, timestamp=0) == reason
    assert reason_of(value_of(timely)) == Reason.INVALID_BODY


def test_value_may_be_as_large_as_the_limit() -> None:
    value = value_of(event("grade_change"))
    exact = value + b" " * (DEFAULT_LIMITS.max_value_bytes - len(value))
    assert isinstance(read(exact), GradeRecordBase)
    assert reason_of(exact + b" ") == Reason.TOO_LARGE
    assert read(value, limits=ReadLimits(max_value_bytes=len(value))) == read(value)
    rejected = read(value, limits=ReadLimits(max_value_bytes=len(value) - 1))
    assert rejected == Rejected(Reason.TOO_LARGE, f"value: more than {len(value) - 1} bytes", None)


def test_events_of_the_future_are_told_by_their_message() -> None:
    value = value_of(event("grade_change", {"event_time": "2026-10-05T14:03:22.417Z"}))
    event_ms, day_ms = 1_791_209_002_417, 86_400_000
    assert read(value, event_ms - day_ms) == read(value)
    assert reason_of(value, event_ms - day_ms - 1) == Reason.FUTURE_EVENT
    assert read(value, -1) == read(value)
    assert reason_of(value, 0) == Reason.FUTURE_EVENT
    hour = ReadLimits(max_future_ms=3_600_000)
    assert isinstance(read(value, event_ms - 3_600_000, limits=hour), GradeRecordBase)
    assert isinstance(read(value, event_ms - 3_600_001, limits=hour), Rejected)


@pytest.mark.parametrize("name", sorted(CANVAS_EVENT_NAMES - GRADE_EVENT_NAMES))
def test_every_other_name_is_ignored(name: str) -> None:
    assert read(value_of({"metadata": {"event_name": name}, "body": {"score": True}})) == Ignored(name)
    assert read(value_of({"attributes": {"event_name": name}})) == Ignored(name)


@pytest.mark.parametrize("attributes", [7, [], {"event_name": 7}])
def test_a_name_is_found_though_something_beside_it_is_not_as_expected(attributes: object) -> None:
    value = value_of({"attributes": attributes, "metadata": {"event_name": "logged_in"}})
    assert read(value) == Ignored("logged_in")


@pytest.mark.parametrize("depth", [1, 64, 512])
def test_nesting_is_accepted(depth: int) -> None:
    value = value_of(event("course_grade_change")).replace(
        b"{", b'{"x": ' + b"[" * depth + b"]" * depth + b", "
    )
    assert isinstance(read(value), CourseGradeChange)


@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b'[{"a":', b'{"metadata":', b'{"metadata":{"event_name":']
)
@pytest.mark.parametrize("depth", [900, 1_100, 50_000, 170_000])
def test_no_depth_overflows(opening: bytes, depth: int) -> None:
    deep = (opening * depth)[: DEFAULT_LIMITS.max_value_bytes]
    assert reason_of(deep) == Reason.INVALID_JSON
    tail = value_of(event("grade_change"))[:-1] + b', "deep": ' + deep
    assert reason_of(tail[: DEFAULT_LIMITS.max_value_bytes]) == Reason.INVALID_JSON


BEYOND_JSON = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"1" + b"0" * 400,
    b"01",
    b"+1",
    b".5",
    b"1.",
    b"0x10",
    b"'a'",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\x01"',
    b'"\\x41"',
    b"[1,]",
    b"{,}",
    b"undefined",
    b"True",
    b"// 1\n1",
    b"",
]


@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
@pytest.mark.parametrize("literal", BEYOND_JSON, ids=lambda literal: str(literal[:12]))
def test_what_is_not_json_is_refused_anywhere(name: str, literal: bytes) -> None:
    document = event(name, {"x": "?"}, x={"z": "?"}) | {"x": {"y": "?"}}
    parts = value_of(document).split(b'"?"')
    for place in range(1, len(parts)):
        value = b'"?"'.join(parts[:place]) + literal + b'"?"'.join(parts[place:])
        assert reason_of(value) == Reason.INVALID_JSON
    assert isinstance(read(b'"?"'.join(parts)), GradeRecordBase)


@pytest.mark.parametrize("literal", [b"1" + b"0" * 300, b"18446744073709551616", b"1e308", b"1e-999", b"-0"])
def test_numbers_within_a_float_are_json_in_unknown_fields(literal: bytes) -> None:
    value = value_of(event("grade_override", x="?")).replace(b'"?"', literal)
    assert isinstance(read(value), GradeRecordBase)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_only_plain_utf8_is_read(encoding: str) -> None:
    value = json.dumps(event("grade_change", grade="é"), ensure_ascii=False).encode(encoding)
    assert reason_of(value) in (Reason.NOT_UTF8, Reason.INVALID_JSON)
    assert outcome_of(read(value)) == read_plainly(value)


ROOM = DEFAULT_LIMITS.max_value_bytes - 4096


@pytest.mark.parametrize(
    ("field", "huge", "reason"),
    [
        ("grade", "x" * ROOM, None),
        ("assignment_id", "1" * ROOM, Reason.INVALID_BODY),
        ("score", "1" * ROOM, Reason.INVALID_BODY),
        ("score", "0." + "1" * ROOM, None),
        ("score", [0] * (ROOM // 3), Reason.INVALID_BODY),
    ],
)
def test_huge_values_do_no_harm(field: str, huge: Any, reason: Reason | None) -> None:
    assert reason_of(value_of(event("grade_change", **{field: huge}))) == reason


@pytest.mark.parametrize("job_id", ["1020020528469291", "a" * 255, 7, 0])
def test_job_is_kept_as_text(job_id: object) -> None:
    record = read(value_of(event("grade_change", {"job_id": job_id})))
    assert isinstance(record, GradeRecordBase)
    assert record.job_id == str(job_id)


@pytest.mark.parametrize("malformed", [None, "", "a" * 256, -7, True, 1.0, [], {}])
def test_malformed_metadata_counts_as_absent(malformed: object) -> None:
    fields = ("job_id", "user_id", "context_id", "context_type", "root_account_id")
    record = read(value_of(event("grade_change", dict.fromkeys(fields, malformed))))
    assert isinstance(record, GradeRecordBase)
    assert (record.job_id, record.actor_id, record.course_id) == (None, None, None)
    assert record.user_id == "48"


SECRET = "S3CRET"  # noqa: S105  stands for what must not show


@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES))
def test_detail_names_the_wrong_field_of_the_body_but_no_value(name: str) -> None:
    for field, kind in [("user_id", "id"), *OWN[name]]:
        wrong: object = [SECRET] if kind in ("text", "flag") else SECRET * 50 if kind == "status" else SECRET
        rejected = read(value_of(event(name, **{field: wrong})))
        assert isinstance(rejected, Rejected)
        assert (rejected.reason, rejected.event_name) == (Reason.INVALID_BODY, name)
        assert rejected.detail.startswith(f"body.{field}: ")
        assert SECRET not in rejected.detail


@pytest.mark.parametrize("field", ["event_time", "root_account_uuid", "event_name"])
@pytest.mark.parametrize("about", ["metadata", "attributes"])
def test_detail_names_the_wrong_field_of_the_metadata_but_no_value(field: str, about: str) -> None:
    metadata = METADATA | {"event_name": "grade_change"} | {field: [SECRET]}
    rejected = read(value_of({about: metadata}))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.INVALID_METADATA
    assert rejected.detail.startswith(f"{about}.{field}: ")
    assert SECRET not in rejected.detail


# Agreement with the plain reading, over events with a few things wrong and over their bytes damaged.

HOSTILE: list[Any] = [
    "s" * 256,
    *(None, "", " ", "0", "00", "2", "x", "é", "\u0000", "NaN", "Infinity", "1e999", "-0", "-0.0", "1e5"),
    *("01", "1.", "1_0", " 1", "1 ", "٣", "+1", "1.5e-3", '"1"', "[1]", "null", "true", "deleted", "Course"),
    *("21070000000000048", "10120000000000048", "0021070000000000048", "10000000000000", "9999999999999"),
    *("9999999999999999999", "10000000000000000000", "grade_change", "asset_accessed", "a" * 256),
    *("2026-10-05T14:03:22Z", "2026-10-05", "2026-10-05T14:03:22", "2026-10-05t14:03:22.1239+05:30"),
    *("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+01:00", "2026-W41-1T00:00:00.000Z"),
    *(0, 1, -1, 48, 85, 2**53 + 1, 10**13, 21070000000000048, 10**19 - 1, 10**19, 2**64, -(10**20), 10**30),
    *(0.5, -0.0, 1e16, 1e-7, 5e-324, 48.0, math.pi, True, False),
    *([], {}, [None], {"a": 1}, [[[[]]]]),
]
names = st.sampled_from(sorted(OWN))
FIELDS = sorted({field for own in OWN.values() for field, _ in own} | {"user_id", "student_id", "course_id"})
body_changes = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(HOSTILE), max_size=3)
metadata_changes = st.dictionaries(
    st.sampled_from([*METADATA, "event_name", "job_id"]), st.sampled_from(HOSTILE), max_size=2
)
top_changes = st.dictionaries(
    st.sampled_from(["metadata", "attributes", "body", "x"]), st.sampled_from(HOSTILE), max_size=1
)
timestamps = st.none() | st.sampled_from([-1, 0, 1_791_122_602_416, 1_791_122_602_417, 1_791_209_002_417])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event with a few of its values swapped, dropped or moved."""
    document = event(draw(names), draw(metadata_changes), **draw(body_changes))
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        document["body"].pop(field, None)
    if draw(st.booleans()):
        document["attributes"] = document.pop("metadata")
    return document | draw(top_changes)


@settings(max_examples=600, deadline=None)
@given(events(), timestamps)
def test_fast_and_plain_reading_agree(document: dict[str, Any], timestamp: int | None) -> None:
    value = value_of(document)
    result = read(value, timestamp)
    assert outcome_of(result) == read_plainly(value, timestamp)
    if isinstance(result, GradeRecordBase):
        assert encode_record(decode_record(encode_record(result))) == encode_record(result)
        assert type(result).model_validate(dict(result)) == result


SPLICES = [
    *BEYOND_JSON,
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"[" * 2_000,
    b"\x00",
]
SPLICES += [b'"event_name": "heartbeat",', b'"event_n\\u0061me": "grade_change",', b'"metadata": {},']
SPLICES += [b'"metadata": null,', b'"body": {},', b'"score": true,']


@settings(max_examples=600, deadline=None)
@given(events(), st.data())
def test_fast_and_plain_reading_agree_on_damaged_bytes(document: dict[str, Any], data: st.DataObject) -> None:
    value = value_of(document)
    begin = data.draw(st.integers(0, len(value)))
    if data.draw(st.booleans()):  # where something can stand rather than anywhere
        begin = value.find(b'"', begin) % (len(value) + 1)
    end = data.draw(st.sampled_from([begin, begin + 1, begin + 7, len(value)]))
    _agree(value[:begin] + data.draw(st.sampled_from([b"", *SPLICES])) + value[end:])


def _agree(value: bytes) -> None:
    result, plain = read(value), read_plainly(value)
    if isinstance(result, Ignored) and plain in (("rejected", "invalid_json"), ("rejected", "not_utf8")):
        assert result.event_name not in GRADE_EVENT_NAMES  # what follows such a name need not be read
    else:
        assert outcome_of(result) == plain


@pytest.mark.parametrize("case", CASES)
def test_fast_and_plain_reading_agree_on_every_beginning(case: str) -> None:
    value = CASES[case].read_bytes()
    for length in range(0, len(value), 1 + len(value) // 40):
        _agree(value[:length])


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.text().map(str.encode), timestamps)
@example(b"\xff", None)
@example(b"nul", None)
def test_no_bytes_raise(value: bytes, timestamp: int | None) -> None:
    assert isinstance(read(value, timestamp), Rejected | Ignored)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(FIELDS), inner),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(names, st.sampled_from(FIELDS), json_values, json_values)
def test_no_json_raises(name: str, field: str, inside: Any, beside: Any) -> None:
    for document in (event(name, {field: inside}, **{field: inside}) | {"x": beside}, {"metadata": inside}):
        value = value_of(document)
        assert outcome_of(read(value)) == read_plainly(value)


def test_every_record_type_is_read() -> None:
    assert {type(read(value_of(event(name)))) for name in OWN} == set(RECORD_TYPES.values())
