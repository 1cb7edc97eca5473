import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.times import canonical_time, epoch_ms, is_after, is_canonical, time_from_epoch_ms


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-22T10:15:30.123Z", "2026-11-22T10:15:30.123Z"),
        ("2026-11-22T10:15:30Z", "2026-11-22T10:15:30.000Z"),
        ("2026-11-22t10:15:30.5z", "2026-11-22T10:15:30.500Z"),
        ("2026-11-22 10:15:30.123Z", "2026-11-22T10:15:30.123Z"),
        ("2026-11-22T10:15:30.123z", "2026-11-22T10:15:30.123Z"),
        ("2026-11-22T10:15:30.9999999Z", "2026-11-22T10:15:30.999Z"),
        ("2026-11-22T10:15:30.0009+00:00", "2026-11-22T10:15:30.000Z"),
        ("2026-11-22T10:15:30.123-00:00", "2026-11-22T10:15:30.123Z"),
        ("2026-01-01T00:15:30+05:45", "2025-12-31T18:30:30.000Z"),
        ("2026-12-31T23:15:30-07:00", "2027-01-01T06:15:30.000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00.5-00:01", "0001-01-01T00:01:00.500Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_rfc_3339_is_brought_to_utc_and_cut_to_milliseconds(text: str, canonical: str) -> None:
    assert canonical_time(text) == canonical
    assert is_canonical(canonical)
    assert canonical_time(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22T10:15:30",
        "2026-11-22T10:15:30.123",
        "2026-11-22T10:15Z",
        "20261122T101530Z",
        "2026-W47-7T10:15:30.123Z",
        "2026-326T10:15:30.123Z",
        "2026-11-22T10:15:30,123Z",
        "2026-11-22T10:15:30.Z",
        "2026-11-22T10:15:30+0100",
        "2026-11-22T10:15:30+01",
        "2026-11-22T10:15:30+24:00",
        "2026-11-22T10:15:30+01:60",
        "2026-11-22T10:15:30\u221201:00",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-13-01T10:15:30Z",
        "2026-02-29T10:15:30Z",
        "2026-02-29T10:15:30.123Z",
        "2026-02-29T10:15:30.123+01:00",
        "2026-11-00T10:15:30Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        " 2026-11-22T10:15:30Z",
        "2026-11-22T10:15:30Z\n",
        "2026-11-22T10:15:30.123Z\n",
        "2026-11-22_10:15:30Z",
        "\u0662\u0660\u0662\u0666-11-22T10:15:30.123Z",
        "1791036202417",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    assert canonical_time(text) is None
    assert not is_canonical(text)


PATTERN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z", re.ASCII
).fullmatch


@settings(max_examples=500)
@given(
    st.lists(st.tuples(st.integers(0, 24), st.sampled_from("0129 +-:.,ZzTtW\u0661")), max_size=3),
    st.sampled_from([24, 20, 23]),
)
@example([(11, "2"), (12, "4")], 24)
@example([(8, "3")], 24)
def test_only_the_canonical_form_is_canonical(changes: list[tuple[int, str]], length: int) -> None:
    text = "2026-11-22T10:15:30.123Z"
    for place, character in changes:
        text = text[:place] + character + text[place + 1 :]
    text = text[:length]
    try:
        datetime(int(text[:4]), int(text[5:7]), int(text[8:10]))
    except ValueError:
        is_day = False
    else:
        is_day = True
    assert is_canonical(text) == (is_day and PATTERN(text) is not None)
    assert not is_canonical(text) or canonical_time(text) == text


@pytest.mark.parametrize("latest", ["2026-11-21T23:59:59.999Z", "2026-11-22T10:15:30.122Z"])
def test_after_means_later_by_a_millisecond(latest: str) -> None:
    assert is_after("2026-11-22T10:15:30.123Z", epoch_ms(latest))
    assert not is_after(latest, epoch_ms(latest))
    assert not is_after(latest, epoch_ms("2026-11-23T00:00:00.000Z"))
    assert not is_after("9999-12-31T23:59:59.999Z", 1 << 62)


offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), offsets)
def test_any_offset_names_the_same_moment(moment: datetime, offset: timezone) -> None:
    aware = moment.replace(tzinfo=UTC)
    canonical = canonical_time(aware.astimezone(offset).isoformat())
    assert canonical == aware.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    assert epoch_ms(canonical) == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_go_there_and_back(milliseconds: int) -> None:
    assert epoch_ms(time_from_epoch_ms(milliseconds)) == milliseconds


def test_what_is_outside_the_years_is_refused() -> None:
    with pytest.raises(OverflowError):
        time_from_epoch_ms(253_402_300_800_000)
    with pytest.raises(ValueError, match="day is out of range"):
        epoch_ms("2026-02-30T00:00:00.000Z")


@given(st.text() | st.from_regex(r"\A[0-9TtZz+:. -]*\Z"))
def test_no_text_raises(text: str) -> None:
    canonical = canonical_time(text)
    assert canonical is None or canonical_time(canonical) == canonical
