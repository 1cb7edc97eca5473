"""How what is kept becomes bytes and back: a version byte, then MessagePack."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Format(Generic[T]):
    """The stored form of one type.

    A release reads the version it writes and those before it, never those after it. Fields that are added at
    the end of a structure, with a default, need no new version.
    """

    def __init__(self, name: str, kept: type[T], version: int) -> None:
        """Name what is kept, for errors, as in "not a student's state"; `version` is 1 to 255."""
        self._name = name
        self._prefix = bytes([version])
        self._encode = msgspec.msgpack.Encoder(order="deterministic").encode
        self._decode = msgspec.msgpack.Decoder(kept).decode

    def encode(self, value: T | tuple[object, ...]) -> bytes:
        """Return a value as bytes; equal values give equal bytes.

        A tuple stands for a value whose structure has these fields.
        """
        return self._prefix + self._encode(value)

    def decode(self, stored: bytes) -> T:
        """Return the value that `encode` made bytes of; ValueError, naming no value, on anything else."""
        if stored[:1] > self._prefix:
            raise ValueError(
                f"the {self._name} has format {stored[0]}, but this release reads formats up to "
                f"{self._prefix[0]}: a newer release wrote it"
            )
        if stored[:1] == self._prefix:
            try:
                return self._decode(memoryview(stored)[1:])
            except (msgspec.DecodeError, UnicodeDecodeError):  # the error would quote what it met
                pass
        raise ValueError(f"not a {self._name}")
