"""How the single values of a raw event become those of a record.

A reader takes a value of any JSON type and the event's shard, and returns what the record holds; null when
nothing is known. It raises what is wrong with the value, in words that do not repeat it.
"""

import re
from typing import Final

import orjson

from models.fields import MAX_ID_DIGITS, MAX_STATUS_CHARACTERS
from models.times import canonical_time

LOCAL_IDS: Final = 10**13
"""Global id = shard * LOCAL_IDS + local id, in all of Canvas."""

MIN_GLOBAL_ID_DIGITS: Final = len(str(LOCAL_IDS))
MAX_JOB_CHARACTERS: Final = 255
"""Longest `job_id`."""


class WrongError(ValueError):
    """What is wrong with a value, without the value."""


def optional_id(value: object, shard: int | None) -> str | None:
    """Read an id, which becomes local where it is of the event's shard."""
    if value is None or value == "":
        return None
    if type(value) is int:
        value = str(value)  # a sign is refused below
    if type(value) is not str or len(value) > MAX_ID_DIGITS or not (value.isascii() and value.isdigit()):
        raise WrongError(f"not an id of 1 to {MAX_ID_DIGITS} digits")
    if shard is not None and len(value) >= MIN_GLOBAL_ID_DIGITS:
        local_id = int(value) - shard * LOCAL_IDS
        if 0 <= local_id < LOCAL_IDS:
            return str(local_id)
    return value


def lenient_id(value: object, shard: int | None) -> str | None:
    """Read an id of the metadata, where a malformed one counts as absent."""
    try:
        return optional_id(value, shard)
    except WrongError:
        return None


def shard_of(*canvas_ids: object) -> int | None:
    """Return the shard of the first of these that is a global id."""
    for canvas_id in canvas_ids:
        number = int(lenient_id(canvas_id, None) or 0)
        if number >= LOCAL_IDS:
            return number // LOCAL_IDS
    return None


def course_of(context_type: object, context_id: object, shard: int | None) -> str | None:
    """Return the course that is the context of an event."""
    return lenient_id(context_id, shard) if context_type == "Course" else None


def job_of(job_id: object) -> str | None:
    """Return a job's id as text; None for what is none."""
    if type(job_id) is int and job_id >= 0:
        return str(job_id)
    return job_id if type(job_id) is str and 0 < len(job_id) <= MAX_JOB_CHARACTERS else None


_number_text = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch


def number(value: object, _shard: int | None) -> float:
    """Read what is no float: an integer, or a text with a JSON number in it."""
    if type(value) is int:
        return float(value)
    if type(value) is str and _number_text(value):
        try:
            return float(orjson.loads(value))  # as the same digits are read without quotes
        except orjson.JSONDecodeError:
            raise WrongError("beyond the range of a number") from None
    raise WrongError("not a number")


def text(value: object, _shard: int | None) -> str | None:
    """Read a text, where an empty one says nothing."""
    if type(value) is str:
        return value or None
    raise WrongError("not a text")


def status_name(value: object, shard: int | None) -> str | None:
    """Read the name of a custom status."""
    name = text(value, shard)
    if name is not None and len(name) > MAX_STATUS_CHARACTERS:
        raise WrongError(f"longer than {MAX_STATUS_CHARACTERS} characters")
    return name


def flag(_value: object, _shard: int | None) -> bool:
    """Refuse what is no boolean."""
    raise WrongError("not true or false")


def time(value: object, _shard: int | None) -> str:
    """Read a time into its canonical form."""
    canonical = canonical_time(value) if type(value) is str else None
    if canonical is None:
        raise WrongError("not an RFC 3339 time with an offset")
    return canonical
