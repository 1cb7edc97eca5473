"""Dead letters for people and for programs: what is shown of them, and in which form."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from app.dead_letters import Letter
from models.headers import original_headers
from models.times import time_from_epoch_ms

_HIDDEN = "Key and value are not printed, because they may name people; --value prints them."


def summary(letter: Letter) -> dict[str, Any]:
    """Return why and where a dead letter is, and nothing of the message itself but its size."""
    failure = letter.failure
    return {
        "position": str(letter.position),
        "partition": letter.position.partition,
        "offset": letter.position.offset,
        "written_at": time_from_epoch_ms(letter.timestamp_ms),
        "reason": failure.reason,
        "detail": failure.detail,
        "version": failure.version,
        "failed_at": failure.failed_at,
        "raw_topic": failure.topic,
        "raw_partition": failure.partition,
        "raw_offset": failure.offset,
        "value_bytes": None if letter.value is None else len(letter.value),
        "whole_bytes": failure.whole_bytes,
    }


def document(letter: Letter, *, with_value: bool) -> dict[str, Any]:
    """Return a dead letter with its own headers, and with its key and value where they are asked for.

    What is text stands as `{"text": …}`, what is not as `{"base64": …}`; null stands for what is not there.
    """
    shown = summary(letter)
    shown["headers"] = [
        {"name": name, "value": _encoded(content)} for name, content in original_headers(letter.headers)
    ]
    if with_value:
        shown["key"] = _encoded(letter.key)
        shown["value"] = _encoded(letter.value)
    return shown


def _encoded(content: bytes | None) -> dict[str, str] | None:
    if content is None:
        return None
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def lines(letter: Letter, *, with_value: bool) -> Iterator[str]:
    """Yield a dead letter for people, line by line; nothing in it can steer a terminal."""
    shown = summary(letter)
    yield f"Dead letter {letter.position}, written {shown['written_at']}"
    yield f"Reason:    {printable(shown['reason'])}"
    yield f"Detail:    {printable(shown['detail']) or 'none'}"
    yield f"Came from: {printable(origin(shown))}"
    yield f"Read by:   Gradewatch {printable(shown['version'])}, {printable(shown['failed_at'])}"
    yield f"Bytes:     {size(shown)}"
    own = original_headers(letter.headers)
    yield "Headers:" if own else "Headers:   none"
    for name, content in own:
        yield f"  {printable(name)}: {_text(content)}"
    if not with_value:
        yield _HIDDEN
        return
    yield f"Key:       {_text(letter.key)}"
    yield "Value:"
    for line in (b"(none)" if letter.value is None else letter.value).split(b"\n"):
        yield _text(line)


def origin(shown: Mapping[str, Any]) -> str:
    """Return where a dead letter came from, as `raw-events 3:17`."""
    place = (shown["raw_partition"], shown["raw_offset"])
    partition, offset = ("?" if number is None else number for number in place)
    return f"{shown['raw_topic'] or '?'} {partition}:{offset}"


def size(shown: Mapping[str, Any]) -> str:
    """Return how large a value is, and how large it was where it had to be cut."""
    kept, whole = shown["value_bytes"], shown["whole_bytes"]
    if whole is not None:
        return f"{kept or 0:,} of {whole:,}"
    return "no value" if kept is None else f"{kept:,}"


def _text(content: bytes | None) -> str:
    if content is None:
        return "(none)"
    return printable(content.decode(errors="backslashreplace"))


def printable(text: str) -> str:
    """Return a text in which everything that a terminal would not print, or would obey, is an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
