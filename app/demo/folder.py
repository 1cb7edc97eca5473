"""The one folder that a demo leaves behind, and that the next one replaces."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from app.errors import GradewatchError

NAME: Final = "gradewatch-demo"

_ABOUT: Final = "about.txt"
"""Marks a folder as the demo's own; no other is ever emptied."""

_ABOUT_TEXT: Final = """\
Made by `gradewatch demo`, which replaces this folder each time it runs here. Delete it whenever you like.

alerts.jsonl   every alert of the last demo, one JSON object a line, in the order in which they came
worker.log     what the worker said
worker/        the worker's local copy of its table (RocksDB)
broker/        topics and log of the embedded broker
"""


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where everything of a demo lies."""

    path: Path

    @property
    def alerts(self) -> Path:
        """Every alert, one JSON object a line."""
        return self.path / "alerts.jsonl"

    @property
    def worker_log(self) -> Path:
        """What the worker writes to stdout and stderr."""
        return self.path / "worker.log"

    @property
    def worker_data(self) -> Path:
        """The worker's data folder."""
        return self.path / "worker"

    @property
    def broker_data(self) -> Path:
        """The embedded broker's data folder."""
        return self.path / "broker"


@contextmanager
def fresh_folder(parent: Path) -> Iterator[DemoFolder]:
    """Give an empty folder `gradewatch-demo` in `parent`, held against other demos until the block ends.

    What an earlier demo left there is deleted. Raises GradewatchError when the folder is somebody else's,
    when another demo is at work in it, or when it can't be written.
    """
    path = parent.absolute() / NAME
    try:
        held = _take(path)
    except OSError as error:
        raise GradewatchError(f"The demo can't use {path}: {error.strerror}.") from error
    with held:
        yield DemoFolder(path)


def _take(path: Path) -> TextIO:
    """Make the folder ours and empty; return the open file that holds it."""
    if (path.exists() or path.is_symlink()) and not _is_ours(path):
        raise GradewatchError(
            f"{path} is there and was not made by a demo, so it is left alone. Move it away, or run the demo "
            "in another folder."
        )
    path.mkdir(exist_ok=True)
    about = (path / _ABOUT).open("a", encoding="utf-8")
    try:
        fcntl.flock(about, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(path)
        about.truncate(0)
        about.write(_ABOUT_TEXT)
        about.flush()
    except BlockingIOError:
        about.close()
        raise GradewatchError(f"Another demo is at work in {path}.") from None
    except BaseException:
        about.close()
        raise
    return about


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    return (path / _ABOUT).is_file() or not any(path.iterdir())


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == _ABOUT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
