"""Times as they flow: RFC 3339 text in, one canonical UTC text with milliseconds out.

The canonical form, ``2026-11-22T10:15:30.123Z``, has a fixed width, so that text order is time order.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH = datetime(1970, 1, 1)  # naive, because it is written in UTC anyway
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_moment_of = datetime.fromisoformat
_MILLISECOND = timedelta(milliseconds=1)
_CHARACTERS_TO_THE_SECOND: Final = len("2026-11-22T10:15:30Z")
_DAY_MS: Final = 86_400_000
_DAYS_KNOWN: Final = 4_096
"""More than ten years of them."""
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch


def is_canonical(text: str) -> bool:
    """Return whether a text is a time in canonical form."""
    # What stands between the digits tells it from all else that `fromisoformat` takes; only hour 24, which
    # newer Pythons take, is told by itself.
    if text[4:20:3] != "--T::." or text[23:] != "Z" or text[11:13] == "24":
        return False
    try:
        _moment_of(text)
    except ValueError:  # no such day, no such second
        return False
    return True


def canonical_time(text: str) -> str | None:
    """Return the canonical form of an RFC 3339 time with any offset; None when it is malformed.

    Digits beyond milliseconds are cut, not rounded. Malformed is also what has no offset, what names a
    day or second that does not exist (leap seconds included, which no clock of Canvas shows), and what
    lies outside the years 1 to 9999 once it is UTC.
    """
    if len(text) == _CHARACTERS_TO_THE_SECOND:  # as Canvas writes them in bodies
        if text[4::3] == "--T::Z" and text[11:13] != "24":
            try:
                _moment_of(text)
            except ValueError:
                return None
            return text[:19] + ".000Z"
    elif is_canonical(text):
        return text
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
    return (_moment_of(canonical) - _EPOCH_UTC) // _MILLISECOND


def is_after(canonical: str, latest_ms: int) -> bool:
    """Return whether a canonical time is after another, given as milliseconds since 1970."""
    return _day_end_ms(canonical[:10]) > latest_ms and epoch_ms(canonical) > latest_ms


@lru_cache(maxsize=_DAYS_KNOWN)
def _day_end_ms(day: str) -> int:
    """Return when a day `YYYY-MM-DD` is over, as milliseconds since 1970."""
    return epoch_ms(f"{day}T00:00:00.000Z") + _DAY_MS


def time_from_epoch_ms(milliseconds: int) -> str:
    """Return milliseconds since 1970 as a canonical time; OverflowError outside the years 1 to 9999."""
    return (_EPOCH + milliseconds * _MILLISECOND).isoformat("T", "milliseconds") + "Z"
