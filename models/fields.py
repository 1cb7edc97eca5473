"""What the fields of records are: each kind of value, with its limits, declared once."""

from typing import Annotated, Final, TypeAlias

from pydantic import FiniteFloat, StringConstraints

MAX_ID_DIGITS: Final = 19
EVENT_ID_DIGITS: Final = 32
MAX_UUID_CHARACTERS: Final = 255
MAX_STATUS_CHARACTERS: Final = 255

Id: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^[0-9]{{1,{MAX_ID_DIGITS}}}$")]
"""A Canvas id in canonical form: local to the event's shard wherever the shard is known."""

EventId: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{EVENT_ID_DIGITS}}}$")]
"""32 hexadecimal digits of a SHA-256 over what is told apart."""

RootAccountUuid: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=MAX_UUID_CHARACTERS)]
"""The school: the uuid of the root account, unique in all of Canvas."""

Time: TypeAlias = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
    ),
]
"""A time in UTC with milliseconds, `2026-11-22T10:15:30.123Z`; text order is time order."""

Score: TypeAlias = FiniteFloat
"""A score or points: any finite number; above 100 and below 0 are legal."""

StatusName: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_STATUS_CHARACTERS)]
"""The name of a custom status. It is kept, so it is bounded, far above what Canvas lets one type."""
