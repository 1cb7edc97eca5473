"""W3C trace context: which trace a message belongs to, handed on to what is made of it.

Only `traceparent` is: 55 characters, hexadecimal but for dashes, can tell nothing but ids of traces. What
`tracestate` says is up to whoever wrote it.
"""

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = "traceparent"
_well_formed = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch


def traceparent_of(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """Return a message's `traceparent`, None where it has none that is well-formed (of several the first)."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None and _well_formed(value):
            return value
    return None
