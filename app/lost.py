"""What to say when a topic no longer has what a worker is to read next, and what can be done about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.lost import OffsetsLostError

_GO_ON = (
    "What is gone is lost, and no worker goes on past it by itself. `gradewatch worker --reset-offsets` goes "
    "on from the first message there is; where the topic is a new one, that is all of it."
)
_RECOVER = "Start the worker again: it then recovers from what the changelog has."


def explain_lost(error: OffsetsLostError, changelogs: Collection[str]) -> str:
    """Return a line for each partition that misses something, and below them the way on."""
    sentences = [str(gap) for gap in error.gaps]
    of_changelogs = any(gap.topic in changelogs for gap in error.gaps)
    return "\n".join(
        [
            *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
            _RECOVER if of_changelogs else _GO_ON,
        ]
    )
