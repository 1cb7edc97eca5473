import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.grades import Reason, Rejected
from models.headers import (
    DEAD_LETTER_HEADERS,
    MAX_MESSAGE_BYTES,
    RECORD_OVERHEAD_BYTES,
    Failure,
    alert_headers,
    course_drop_headers,
    dead_letter_headers,
    failure_of,
    fit,
    original_headers,
    record_headers,
    snapshot_headers,
)
from tests.models.test_alerts import alert
from tests.models.test_drops import drop
from tests.models.test_records import example

REJECTED = Rejected(Reason.INVALID_BODY, "body.score: not a number", "grade_change")


def test_record_is_a_cloud_event_with_the_time_of_its_raw_message() -> None:
    record = example()
    expected = [
        ("ce_specversion", b"1.0"),
        ("ce_id", record.event_id.encode()),
        ("ce_source", b"gradewatch/r"),
        ("ce_type", b"gradewatch.grade-record.v1"),
        ("ce_time", b"2019-12-11T16:26:34.000Z"),
        ("ce_subject", b"r:2"),
        ("content-type", b"application/json"),
    ]
    assert record_headers(record, 1_791_209_002_417) == [
        *expected,
        ("gradewatch.raw_timestamp", b"1791209002417"),
    ]
    assert record_headers(record, 0)[-1] == ("gradewatch.raw_timestamp", b"0")
    assert record_headers(record, None) == record_headers(record, -1) == expected


def test_alert_is_a_cloud_event_known_by_its_alert_id() -> None:
    assert dict(alert_headers(alert(), "5fade8cf48938cf3")) == {
        "ce_specversion": b"1.0",
        "ce_id": b"0" * 32,
        "ce_source": b"gradewatch/r",
        "ce_type": b"gradewatch.alert.v1",
        "ce_time": b"2026-10-05T14:03:22.417Z",
        "ce_subject": b"r:48",
        "content-type": b"application/json",
        "gradewatch.rules": b"5fade8cf48938cf3",
    }


def test_course_drop_is_a_cloud_event_known_by_its_alert() -> None:
    expected = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"a" * 32),
        ("ce_source", b"gradewatch/r"),
        ("ce_type", b"gradewatch.course-drop.v1"),
        ("ce_time", b"2026-10-05T14:03:22.417Z"),
        ("ce_subject", b"r:565"),
        ("content-type", b"application/json"),
    ]
    assert course_drop_headers(drop(), None) == expected
    assert course_drop_headers(drop(), 0) == [*expected, ("gradewatch.raw_timestamp", b"0")]


def test_snapshot_is_a_cloud_event_known_by_the_event_that_led_to_it() -> None:
    headers = snapshot_headers(
        event_id="1" * 32,
        root_account_uuid="Schülé",
        event_time="2026-10-05T14:03:22.417Z",
        key="Schülé:48:565".encode(),
    )
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1" * 32,
        "ce_source": "gradewatch/Schülé".encode(),
        "ce_type": b"gradewatch.student-scores.v1",
        "ce_time": b"2026-10-05T14:03:22.417Z",
        "ce_subject": "Schülé:48:565".encode(),
        "content-type": b"application/json",
    }


def letter(
    original: list[tuple[str, bytes | None]], whole_bytes: int | None = None
) -> list[tuple[str, bytes | None]]:
    return dead_letter_headers(
        original,
        REJECTED,
        version="0.1.0",
        failed_at="2026-10-05T14:03:22.630Z",
        topic="school.raw-events",
        partition=3,
        offset=1_234_567_890_123,
        whole_bytes=whole_bytes,
    )


def test_dead_letter_says_why_and_where_after_the_messages_own_headers() -> None:
    original: list[tuple[str, bytes | None]] = [("event_name", b"grade_change"), ("x", None), ("x", b"\xff")]
    assert letter(original) == [
        *original,
        ("gradewatch.reason", b"invalid_body"),
        ("gradewatch.detail", b"body.score: not a number"),
        ("gradewatch.version", b"0.1.0"),
        ("gradewatch.failed_at", b"2026-10-05T14:03:22.630Z"),
        ("__streams.errors.exception", b"gradewatch.Rejected"),
        ("__streams.errors.message", b"invalid_body: body.score: not a number"),
        ("__streams.errors.stacktrace", b""),
        ("__streams.errors.topic", b"school.raw-events"),
        ("__streams.errors.partition", b"3"),
        ("__streams.errors.offset", b"1234567890123"),
    ]
    assert ("gradewatch.truncated", b"9000000") in letter(original, whole_bytes=9_000_000)


headers = st.lists(st.tuples(st.sampled_from(["x", *DEAD_LETTER_HEADERS]), st.none() | st.binary(max_size=3)))


@given(headers, st.none() | st.integers(0))
def test_replay_gives_back_the_messages_own_headers(
    original: list[tuple[str, bytes | None]], whole_bytes: int | None
) -> None:
    sent = letter(original, whole_bytes)
    assert {name for name, _ in sent[len(original) :]} >= set(DEAD_LETTER_HEADERS) - {"gradewatch.truncated"}
    assert original_headers(sent) == original
    assert original_headers([*sent, ("mirror", b"1")]) == [*original, ("mirror", b"1")]


def test_headers_of_a_message_that_is_no_dead_letter_stay() -> None:
    assert original_headers([("x", b"1")]) == [("x", b"1")]


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=9)), max_size=4))
def test_a_value_is_cut_only_when_its_message_would_be_too_large(
    original: list[tuple[str, bytes | None]],
) -> None:
    own = sum(len(name.encode()) + len(content or b"") for name, content in original)
    limit = RECORD_OVERHEAD_BYTES + 500
    key, value, headers, whole_bytes = fit(b"k" * 9, b"v" * 1000, original, max_message_bytes=limit)
    assert value is not None
    assert (key, headers, whole_bytes) == (b"k" * 9, original, 1000)
    assert 400 <= len(value) + own <= 500 - 9
    assert fit(b"k" * 9, value, original, max_message_bytes=limit) == (b"k" * 9, value, original, None)


@pytest.mark.parametrize("value", [None, b"", b"v" * 1_048_577])
def test_a_value_with_room_is_kept_as_it_is(value: bytes | None) -> None:
    assert fit(None, value, []) == (None, value, [], None)


@pytest.mark.parametrize(("value", "left"), [(b"value", b""), (None, None)])
def test_a_key_that_takes_all_room_is_cut_itself(value: bytes | None, left: bytes | None) -> None:
    key, cut, headers, whole_bytes = fit(b"k" * MAX_MESSAGE_BYTES, value, [("x", b"1")])
    assert key == b"k" * (MAX_MESSAGE_BYTES - RECORD_OVERHEAD_BYTES)
    assert (cut, headers, whole_bytes) == (left, (), len(value or b""))


def test_headers_that_take_all_room_are_left_out() -> None:
    huge = [("x", b"h" * MAX_MESSAGE_BYTES)]
    assert fit(b"key", b"value", huge) == (b"key", b"", (), 5)


def test_what_is_added_to_a_dead_letter_fits_the_room_left_for_it() -> None:
    rejected = Rejected(Reason.INVALID_METADATA, "metadata.root_account_uuid: " + "d" * 200)
    added = dead_letter_headers(
        [],
        rejected,
        version="1.0.0.dev0+" + "f" * 40,
        failed_at="2026-10-05T14:03:22.630Z",
        topic="t" * 249,
        partition=2**31 - 1,
        offset=2**63 - 1,
        whole_bytes=2**31 - 1,
    )
    assert sum(len(name) + len(content or b"") + 10 for name, content in added) < RECORD_OVERHEAD_BYTES // 2


@given(headers, st.none() | st.integers(0, 10**12))
def test_a_dead_letter_tells_why_and_where_whatever_its_own_headers_are(
    original: list[tuple[str, bytes | None]], whole_bytes: int | None
) -> None:
    sent = dead_letter_headers(
        original,
        Rejected(Reason.INVALID_BODY, "body.user_id"),
        version="1.2.3",
        failed_at="2026-11-22T10:15:30.123Z",
        topic="raw-events",
        partition=3,
        offset=17,
        whole_bytes=whole_bytes,
    )
    assert failure_of(sent) == Failure(
        *("invalid_body", "body.user_id", "1.2.3", "2026-11-22T10:15:30.123Z", "raw-events"),
        *(3, 17, whole_bytes),
    )


def test_a_message_without_a_reason_is_no_dead_letter() -> None:
    assert failure_of([("x", b"1"), ("gradewatch.detail", b"y")]) is None


@pytest.mark.parametrize("offset", [b"", None, b"-1", b"x", "²".encode(), b"9" * 19])
def test_what_a_stranger_wrote_in_our_headers_is_not_known(offset: bytes | None) -> None:
    told = failure_of([("gradewatch.reason", b"\xff"), ("__streams.errors.offset", offset)])
    assert told == Failure("\ufffd", "", "", "", "", None, None, None)
