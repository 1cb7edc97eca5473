"""What is stored for a student: scores and holds as bytes, the value of the table and its changelog."""

import msgspec

from tables.cases import NO_HOLDS, Holds
from tables.formats import Format
from tables.scores import EMPTY, StudentScores

VERSION = 1


class StudentState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is kept of a student."""

    scores: StudentScores = EMPTY
    holds: Holds = NO_HOLDS


NO_STATE = StudentState()

_format = Format("student's state", StudentState, VERSION)
decode_state = _format.decode


def encode_state(state: StudentState) -> bytes:
    """Return a state as bytes; equal states give equal bytes."""
    scores = state.scores
    return _format.encode(((scores.newest_ms, scores.courses), state.holds))  # what is equal, and no more
