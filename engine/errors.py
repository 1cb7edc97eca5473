"""Why the engine can't go on; each text is a sentence without personal data.

The worker then stops without committing, and the next start repeats the work.
"""

from collections.abc import Collection


class EngineError(Exception):
    """The engine can't go on."""


class DeliveryError(EngineError):
    """A record could not be delivered: refused for good, or not acknowledged in time."""


class TopicsGoneError(EngineError):
    """Topics that are read were deleted."""

    def __init__(self, topics: Collection[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(topics))}: deleted while it was read, and what was unread of it is lost; "
            "`gradewatch topics create` makes it anew"
        )


class StoredValueError(EngineError):
    """A table's row can't be read, such as one that a newer release has written."""


class StoreError(EngineError):
    """A table's local copy can't be opened, read or written: a full disk, or damaged files."""


class ChangelogLostError(EngineError):
    """A table's local copy is ahead of its changelog: that was made anew, or is another cluster's."""
