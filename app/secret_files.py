"""Secrets that lie in files, as orchestrators mount them: the path is a setting, the content never shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

MAX_BYTES: Final = 64 * 1024
"""Far more than any password or token; keeps a wrong path from filling the memory."""


class SecretFileError(ValueError):
    """A file holds no secret; the text says why, without its path and without its content."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file with a secret, and what it held when the settings were read."""

    path: Path
    content: SecretStr

    def __str__(self) -> str:
        return str(self.path)


def read_secret(path: Path) -> SecretStr:
    """Return what a file holds, without the newline that editors and `echo` put at its end.

    Raises SecretFileError when it's missing, can't be read, is empty, too large, or no text in UTF-8.
    """
    if not path.is_file():  # a device or a pipe might never end
        raise SecretFileError("there is no such file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SecretFileError(f"it can't be read ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise SecretFileError(f"it's larger than {MAX_BYTES} bytes")
    try:
        secret = content.decode()
    except UnicodeDecodeError:
        raise SecretFileError("it's no text in UTF-8") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretFileError("it's empty")
    return SecretStr(secret)
