"""Times as they flow: RFC 3339 text in, one canonical UTC text with milliseconds out.

The canonical form, ``2026-11-22T10:15:30.123Z``, has a fixed width, so that text order is time order.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

CANONICAL_CHARACTERS: Final = len("2026-11-22T10:15:30.123Z")

_EPOCH = datetime(1970, 1, 1)  # naive, because it is written in UTC anyway
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_AS_CANVAS_WRITES = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{3})?Z"
).fullmatch
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch


def canonical_time(text: str) -> str | None:
    """Return the canonical form of an RFC 3339 time with any offset; None when it is malformed.

    Digits beyond milliseconds are cut, not rounded. Malformed is also what has no offset, what names a
    day or second that does not exist (leap seconds included, which no clock of Canvas shows), and what
    lies outside the years 1 to 9999 once it is UTC.
    """
    if _AS_CANVAS_WRITES(text):  # nearly all of them
        try:
            datetime.fromisoformat(text)
        except ValueError:  # no such day
            return None
        return text if len(text) == CANONICAL_CHARACTERS else f"{text[:19]}.000Z"
    match = _RFC3339(text)
    if match is None:
        return None
    day, clock, fraction, sign, hours, minutes = match.groups()
    milliseconds = f"{fraction:0<3.3}" if fraction else "000"
    if not _is_day(day):
        return None
    if sign is None:
        return f"{day}T{clock}.{milliseconds}Z"
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    local = datetime.fromisoformat(f"{day}T{clock}")
    try:
        utc = local - offset if sign == "+" else local + offset
    except OverflowError:
        return None
    return f"{utc.isoformat()}.{milliseconds}Z"


def _is_day(day: str) -> bool:
    """Whether the calendar has the day `YYYY-MM-DD`: no year 0, no 30th of February."""
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def epoch_ms(canonical: str) -> int:
    """Return a canonical time as milliseconds since 1970; ValueError when it is no time."""
    return (datetime.fromisoformat(canonical) - _EPOCH_UTC) // _MILLISECOND


def time_from_epoch_ms(milliseconds: int) -> str:
    """Return milliseconds since 1970 as a canonical time; OverflowError outside the years 1 to 9999."""
    return (_EPOCH + milliseconds * _MILLISECOND).isoformat("T", "milliseconds") + "Z"
