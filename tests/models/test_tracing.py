from __future__ import annotations

import pytest

from models.tracing import traceparent_of

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_well_formed_traceparent_is_taken_the_first_of_several() -> None:
    other = TRACE.replace(b"4bf", b"5bf")
    assert traceparent_of([("x", b"y"), ("traceparent", TRACE), ("traceparent", other)]) == TRACE
    assert traceparent_of([]) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Jane Doe",
        TRACE.upper(),
        TRACE + b"-more",
        TRACE[:-1],
        b"ff" + TRACE[2:],
        TRACE.replace(b"4bf92f3577b34da6a3ce929d0e0e4736", b"0" * 32),
        TRACE.replace(b"00f067aa0ba902b7", b"0" * 16),
        TRACE + b"\n",
    ],
)
def test_what_is_no_traceparent_is_left_out(value: bytes | None) -> None:
    assert traceparent_of([("traceparent", value)]) is None
