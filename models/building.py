"""Quick ways to build records, and to read them back, where pydantic need not look at every value.

Pydantic says what a record is. What is found here to be one is the same to pydantic; about all else nothing
is said here, and pydantic judges it and finds the words.
"""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta
from pydantic import BaseModel

from models.fields import (
    EVENT_ID_DIGITS,
    MAX_ID_DIGITS,
    MAX_STATUS_CHARACTERS,
    MAX_UUID_CHARACTERS,
    EventId,
    Id,
    RootAccountUuid,
    Score,
    StatusName,
    Time,
)
from models.times import is_canonical

Model = TypeVar("Model", bound=BaseModel)

Fields: TypeAlias = dict[str, Any]
"""Values by the names of fields, in the order in which the type has them."""

# The models are frozen, so what pydantic keeps of them is set past their __setattr__.
_set_dict, _set_fields_set, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def builder_of(model: type[Model]) -> Callable[[Fields], Model]:
    """Return what makes a model's instances of right values; these then are the instance's own."""
    new = object.__new__
    names = set(model.model_fields)  # of all instances: pydantic changes a copy of it, if any

    def build(fields: Fields) -> Model:
        record = new(model)
        _set_dict(record, fields)
        _set_fields_set(record, names)
        _set_extra(record, None)
        _set_private(record, None)
        return record

    return build


def hints_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the declared types of a model's fields; of an optional field, its type when it is there."""
    hints = get_type_hints(model, include_extras=True)
    return {
        field: get_args(hints[field])[0] if _is_optional(hints[field]) else hints[field]
        for field in model.model_fields
    }


def _is_optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


SHAPES: Final[Mapping[Any, Any]] = {
    EventId: Annotated[str, Meta(min_length=EVENT_ID_DIGITS, max_length=EVENT_ID_DIGITS)],
    RootAccountUuid: Annotated[str, Meta(min_length=1, max_length=MAX_UUID_CHARACTERS)],
    Id: Annotated[str, Meta(min_length=1, max_length=MAX_ID_DIGITS)],
    Time: str,
    StatusName: Annotated[str, Meta(max_length=MAX_STATUS_CHARACTERS)],
    Score: float,
}
"""What a decoder itself takes for a declared type, where that is not one of its own."""


def reader_of(model: type[Model]) -> Callable[[bytes], Model | None]:
    """Return what reads a model's JSON; it gives None where pydantic must look at it.

    That is where fields are missing or unknown, and whatever is wrong.
    """
    hints, declared = hints_of(model), get_type_hints(model, include_extras=True)
    shapes = {field: SHAPES.get(hint, hint) for field, hint in hints.items()}
    struct = msgspec.defstruct(
        model.__name__,
        [
            (field, shape | None if _is_optional(declared[field]) else shape)
            for field, shape in shapes.items()
        ],
        forbid_unknown_fields=True,
        gc=False,
    )
    decode, asdict, build = msgspec.json.Decoder(struct).decode, msgspec.structs.asdict, builder_of(model)
    ids = tuple(field for field, hint in hints.items() if hint == Id)
    times = tuple(field for field, hint in hints.items() if hint == Time)

    def read(value: bytes) -> Model | None:
        try:
            fields = asdict(decode(value))
            event_id = fields["event_id"]
            if bytes.fromhex(event_id).hex() != event_id:
                return None
        except ValueError:
            return None
        for field in ids:
            given = fields[field]
            if given is not None and not (given.isdecimal() and given.isascii()):
                return None
        for field in times:
            given = fields[field]
            if given is not None and not is_canonical(given):
                return None
        return build(fields)

    return read
