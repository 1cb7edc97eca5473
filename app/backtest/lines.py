"""Recorded events as lines of files or of a pipe, plain or compressed, in blocks of bounded size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, cast

import click

from app.errors import GradewatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

STDIN: Final = "-"
BLOCK_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"

Lines: TypeAlias = list[bytes]
"""Lines without their ends; an empty one is a message without a value."""
Passed: TypeAlias = Callable[[int], None]
"""Is told how many more bytes of a file, as it lies on the disk, have been read."""


class InputError(GradewatchError):
    """A file could not be read."""


def size_bytes(files: Sequence[str]) -> int | None:
    """Return how large files are together, None when one of them has no size; raises InputError."""
    total = 0
    for name in files:
        if name == STDIN:
            return None
        path = Path(name)
        try:
            total += path.stat().st_size
        except OSError as error:
            raise InputError(f"Cannot read {name}: {error.strerror}.") from error
        if not path.is_file():  # a named pipe
            return None
    return total


def read_lines(name: str, max_line_bytes: int, passed: Passed = lambda _: None) -> Iterator[Lines]:
    """Yield a file's lines, many at a time; those of stdin for `-`.

    Whether it is compressed is told by its first bytes. Of a line beyond `max_line_bytes` its first bytes,
    one more than that, are given and the rest is passed over, so memory is bounded whatever a file holds.
    Raises InputError when the file can't be read or is cut off in its compressed form.
    """
    with _open(name) as file:
        packed = _Counting(file, passed)
        is_gzip = packed.peek(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=cast("BinaryIO", packed)) if is_gzip else packed)
        try:
            yield from _split(unpacked, max_line_bytes)
        except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError without strerror
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"Cannot read {name} to its end: {reason.rstrip('.')}.") from error


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        try:
            stdin = click.get_binary_stream("stdin")
        except RuntimeError as error:
            raise InputError("Cannot read stdin: it is closed.") from error
        yield stdin
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below; reading has errors of its own
    except OSError as error:
        raise InputError(f"Cannot read {name}: {error.strerror}.") from error
    with file:
        yield file


class _Counting:
    """A file to be read once, which tells how far it is, and whose first bytes can be looked at."""

    def __init__(self, file: BinaryIO, passed: Passed) -> None:
        self._file = file
        self._passed = passed
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """Return the first bytes, fewer only when there are no more; only before anything is read."""
        while len(self._ahead) < size and (more := self._file.read(size - len(self._ahead))):
            self._ahead += more
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes."""
        data, self._ahead = self._ahead or self._file.read(size), b""
        self._passed(len(data))
        return data


def _split(file: BinaryIO, max_line_bytes: int) -> Iterator[Lines]:
    """Cut blocks into lines; one that is too long goes on as its beginning."""
    begun: list[bytes] = []
    """The blocks of a line whose end is not read yet, up to just beyond the limit."""
    begun_bytes = 0
    while block := file.read(BLOCK_BYTES):
        first, *lines = block.split(b"\n")
        if begun_bytes <= max_line_bytes:
            begun.append(first)
            begun_bytes += len(first)
        if not lines:
            continue
        last = lines.pop()
        lines.insert(0, b"".join(begun)[: max_line_bytes + 1])
        begun, begun_bytes = [last], len(last)
        yield lines
    if begun_bytes:  # a last line without an end
        yield [b"".join(begun)[: max_line_bytes + 1]]
