"""A slow and plain reading of raw events, to hold the fast one against.

It shares nothing with `models` but the rules: no header decoder, no tables of fields, no shortcuts.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

NAMES = ("course_grade_change", "grade_change", "grade_override", "final_grade_custom_status")

OWN: dict[str, list[tuple[str, str]]] = {
    "course_grade_change": [
        ("workflow_state", "text"),
        ("created_at", "time"),
        ("updated_at", "time"),
        ("current_score", "number"),
        ("old_current_score", "number"),
        ("final_score", "number"),
        ("old_final_score", "number"),
        ("unposted_current_score", "number"),
        ("old_unposted_current_score", "number"),
        ("unposted_final_score", "number"),
        ("old_unposted_final_score", "number"),
    ],
    "grade_change": [
        ("submission_id", "id"),
        ("assignment_id", "id"),
        ("grade", "text"),
        ("old_grade", "text"),
        ("score", "number"),
        ("old_score", "number"),
        ("points_possible", "number"),
        ("old_points_possible", "number"),
        ("grader_id", "id"),
        ("grading_complete", "flag"),
        ("muted", "flag"),
    ],
    "grade_override": [
        ("score_id", "id"),
        ("enrollment_id", "id"),
        ("grading_period_id", "id"),
        ("override_score", "number"),
        ("old_override_score", "number"),
        ("updated_at", "time"),
    ],
    "final_grade_custom_status": [
        ("score_id", "id"),
        ("enrollment_id", "id"),
        ("grading_period_id", "id"),
        ("override_status", "status"),
        ("override_status_id", "id"),
        ("old_override_status", "status"),
        ("old_override_status_id", "id"),
        ("updated_at", "time"),
    ],
}

Outcome = tuple[str, Any]
"""("record", its fields), ("ignored", the name) or ("rejected", the reason)."""


class WrongError(Exception):
    """A value that cannot be read."""


def read_plainly(value: bytes | None, timestamp: int | None = None) -> Outcome:
    if value is None or len(value) == 0:
        return "rejected", "empty"
    if len(value) > 1024 * 1024:
        return "rejected", "too_large"
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return "rejected", "not_utf8"
    try:
        event = orjson.loads(value)
    except ValueError:
        return "rejected", "invalid_json"
    if not isinstance(event, dict):
        return "rejected", "not_an_object"
    metadata = event.get("metadata")
    if metadata is None:
        metadata = event.get("attributes")
    if metadata is None:
        return "rejected", "missing_metadata"
    if not isinstance(metadata, dict):
        return "rejected", "invalid_metadata"
    name = metadata.get("event_name")
    if name is None or name == "":
        return "rejected", "missing_event_name"
    if not isinstance(name, str):
        return "rejected", "invalid_metadata"
    if name not in NAMES:
        return "ignored", name
    root_account_uuid = metadata.get("root_account_uuid")
    if not isinstance(root_account_uuid, str) or root_account_uuid == "" or len(root_account_uuid) > 255:
        return "rejected", "invalid_metadata"
    try:
        moment, event_time = read_time(metadata.get("event_time"))
    except WrongError:
        return "rejected", "invalid_metadata"
    if timestamp is not None and timestamp >= 0:
        begin = datetime(1970, 1, 1, tzinfo=UTC)
        ahead = (moment - begin) / timedelta(milliseconds=1) - timestamp
        if ahead > 24 * 60 * 60 * 1000:
            return "rejected", "future_event"
    body = event.get("body")
    if not isinstance(body, dict):
        return "rejected", "invalid_body"
    try:
        fields = read_fields(name, body, metadata)
    except WrongError:
        return "rejected", "invalid_body"
    record = {"type": fields.pop("type"), "event_time": event_time, "root_account_uuid": root_account_uuid}
    record |= fields
    own = [record[field] for field, _ in OWN[record["type"]]]
    common = [record[field] for field in ("type", "event_time", "root_account_uuid", "user_id", "course_id")]
    return "record", {
        "event_id": hashlib.sha256(orjson.dumps(common + own)).hexdigest()[0:32],
        **record,
    }


def read_fields(name: str, body: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    override_shape = (
        present(body, "score_id") or present(body, "override_score") or present(body, "old_override_score")
    )
    if name == "grade_change" and not present(body, "submission_id") and override_shape:
        name = "grade_override"

    shard = None
    for field in ("root_account_id", "context_id"):  # the later one wins
        canvas_id = lenient_id(metadata.get(field), None)
        if canvas_id is not None and int(canvas_id) >= 10_000_000_000_000:
            shard = int(canvas_id) // 10_000_000_000_000

    user_id = read_id(body.get("user_id"), shard)
    if name == "grade_change":
        student_id = read_id(body.get("student_id"), shard)
        if user_id is None:
            user_id = student_id
        course_id = None
        if metadata.get("context_type") == "Course":
            course_id = lenient_id(metadata.get("context_id"), shard)
    else:
        course_id = read_id(body.get("course_id"), shard)
        if course_id is None:
            raise WrongError
    if user_id is None:
        raise WrongError

    job_id = metadata.get("job_id")
    if isinstance(job_id, int) and not isinstance(job_id, bool) and job_id >= 0:
        job_id = str(job_id)
    if not isinstance(job_id, str) or not 1 <= len(job_id) <= 255:
        job_id = None

    fields: dict[str, Any] = {
        "type": name,
        "user_id": user_id,
        "course_id": course_id,
        "actor_id": lenient_id(metadata.get("user_id"), shard),
        "job_id": job_id,
    }
    for field, kind in OWN[name]:
        fields[field] = read_own(kind, body.get(field), shard)
    if name == "grade_change" and fields["submission_id"] is None:
        raise WrongError
    return fields


def present(body: dict[str, Any], field: str) -> bool:
    """Whether the field says anything; an empty text says nothing, but of a number it is just wrong."""
    value = body.get(field)
    return value is not None and (value != "" or not field.endswith("_id"))


def read_own(kind: str, value: object, shard: int | None) -> Any:
    if value is None:
        return None
    if kind == "id":
        return read_id(value, shard)
    if kind == "time":
        return read_time(value)[1]
    if kind == "number":
        return read_number(value)
    if kind == "flag" and isinstance(value, bool):
        return value
    if kind == "status" and isinstance(value, str) and len(value) <= 255:
        return value or None
    if kind == "text" and isinstance(value, str):
        return None if value == "" else value
    raise WrongError


def read_id(value: object, shard: int | None) -> str | None:
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or re.fullmatch("[0-9]{1,19}", text) is None:
        raise WrongError
    number = int(text)
    if number >= 10_000_000_000_000 and number // 10_000_000_000_000 == shard:
        return str(number % 10_000_000_000_000)
    return text


def lenient_id(value: object, shard: int | None) -> str | None:
    try:
        return read_id(value, shard)
    except WrongError:
        return None


def read_number(value: object) -> float:
    if isinstance(value, str) and value == value.strip(" \t\r\n"):
        try:
            value = orjson.loads(value)
        except ValueError:
            raise WrongError from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongError
    return float(value)


def read_time(value: object) -> tuple[datetime, str]:
    if not isinstance(value, str):
        raise WrongError
    match = re.fullmatch(
        "([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})([.]([0-9]+))?"
        "([Zz]|[+-]([0-9]{2}):([0-9]{2}))",
        value,
    )
    if match is None:
        raise WrongError
    milliseconds = int(((match[8] or "") + "000")[:3])
    offset = timedelta(hours=int(match[10] or 0), minutes=int(match[11] or 0))
    if int(match[10] or 0) > 23 or int(match[11] or 0) > 59:
        raise WrongError
    zone = timezone(-offset if match[9].startswith("-") else offset)
    try:
        year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
        local = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=zone)
        moment = local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WrongError from None
    text = f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}"
    return moment, f"{text}:{moment.second:02}.{milliseconds:03}Z"
