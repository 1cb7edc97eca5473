"""What a worker needs before it starts."""

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings
from app.worker import make_data_dir


def test_the_folder_of_the_tables_is_made_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_data_dir(path)
    make_data_dir(path)
    assert list(path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file" / "below"
    path.parent.write_text("")
    with pytest.raises(SettingsError, match=f"GRADEWATCH_DATA_DIR is '{path}', where no files can be made"):
        make_data_dir(path)


@pytest.mark.parametrize("app_id", [".", ".."])
def test_a_deployment_is_not_named_as_a_folder_above(app_id: str) -> None:
    with pytest.raises(ValueError, match="app_id"):
        Settings(app_id=app_id)
