"""What is stored for a student: scores and holds as bytes, the value of the table and its changelog."""

import msgspec

from tables.cases import NO_HOLDS, Holds
from tables.scores import EMPTY, StudentScores

VERSION = 1
"""First byte of an encoded state. A release reads this version and those before it, never those after it.

Fields that are added at the end of a structure, with a default, need no new version.
"""


class StudentState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is kept of a student."""

    scores: StudentScores = EMPTY
    holds: Holds = NO_HOLDS


NO_STATE = StudentState()

_prefix = bytes([VERSION])
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(StudentState).decode


def encode_state(state: StudentState) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    return _prefix + _encode(state)


def decode_state(value: bytes) -> StudentState:
    """Return the state that `encode_state` wrote; ValueError, naming no value, on anything else."""
    if value[:1] > _prefix:
        raise ValueError(
            f"the student's state has format {value[0]}, but this release reads formats up to {VERSION}:"
            " a newer release wrote it"
        )
    if value[:1] == _prefix:
        try:
            return _decode(memoryview(value)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError):  # the error would quote what it met
            pass
    raise ValueError("not a student's state")
