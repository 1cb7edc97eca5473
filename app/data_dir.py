"""The folder of the local copy of the tables: that it is there, and that it is this deployment's."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from app.errors import GradewatchError, SettingsError

OWNER_FILE: Final = "owner.json"
"""In the folder of an app id: which cluster and which app id the tables beside it are of."""


def make_data_dir(path: Path) -> None:
    """Make the folder of the tables; raises SettingsError where it can't be made or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise SettingsError(
            f"GRADEWATCH_DATA_DIR is {str(path)!r}, where no files can be made: {error.strerror}."
        ) from error


def bind(folder: Path, app_id: str, cluster_id: str | None) -> None:
    """See to it that the tables in a folder are of this app id on this cluster, or will be.

    An offset of another cluster's changelog would be taken for one of this cluster's, and rows would be wrong
    without a word. A broker that doesn't tell its cluster's id (None) is not asked twice. Raises
    GradewatchError where the tables are somebody else's, SettingsError where nothing can be written.
    """
    if cluster_id is None:
        return
    owner = {"app_id": app_id, "cluster_id": cluster_id}
    file = folder / OWNER_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            # By its own name at once: a half-written one would be read as somebody else's.
            beside = file.with_suffix(".new")
            beside.write_text(json.dumps(owner) + "\n")
            beside.replace(file)
            return
        found = file.read_text()
    except OSError as error:
        raise SettingsError(
            f"GRADEWATCH_DATA_DIR: {str(file)!r} can't be read and written: {error.strerror}."
        ) from error
    try:
        same = json.loads(found) == owner
    except ValueError:
        same = False
    if not same:
        raise GradewatchError(
            f"The tables in {folder} are not of app id {app_id} on cluster {cluster_id}: {OWNER_FILE} there "
            f"says otherwise. {_REMOVE}, or set another GRADEWATCH_DATA_DIR."
        )


_REMOVE: Final = "Remove that folder to rebuild the tables from their changelogs"


def cannot_be_used(folder: Path) -> str:
    """Return what can be done where RocksDB can't use its files."""
    return (
        f"See that the disk of {folder} is not full and can be written to. If it isn't that, its files are "
        f"damaged. {_REMOVE}."
    )
