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
_NO_CHANGELOG = (
    "What was removed there is in no changelog any more. A worker whose folder still has it goes on; where "
    "none has, another GRADEWATCH_APP_ID makes new tables from the first message of the raw topic on."
)


def explain_lost(error: OffsetsLostError, changelogs: Collection[str]) -> str:
    """Return a line for each partition that misses something, and below them the way on."""
    sentences = [
        # How many it was nobody knows: Faust asks for the offset before the first one, whatever is missing.
        f"partition {gap.partition} of {gap.topic} begins at offset {gap.first}: rows of a table are gone"
        if gap.topic in changelogs
        else str(gap)
        for gap in error.gaps
    ]
    of_changelogs = any(gap.topic in changelogs for gap in error.gaps)
    return "\n".join(
        [
            *(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
            _NO_CHANGELOG if of_changelogs else _GO_ON,
        ]
    )
