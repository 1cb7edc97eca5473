"""What a worker needs before it starts."""

from pathlib import Path

import pytest

from app.data_dir import OWNER_FILE, bind, make_data_dir
from app.errors import GradewatchError, SettingsError
from app.settings import Settings


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


def test_the_tables_belong_to_one_app_id_on_one_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    bind(folder, "app", "one")
    bind(folder, "app", "one")
    bind(folder, "app", None)
    for app_id, cluster_id in (("app", "two"), ("other", "one")):
        with pytest.raises(GradewatchError, match=f"not of app id {app_id} on cluster {cluster_id}: "):
            bind(folder, app_id, cluster_id)


def test_tables_of_an_unknown_owner_are_nobody_s(tmp_path: Path) -> None:
    (tmp_path / OWNER_FILE).write_text('{"app_id": "a')
    with pytest.raises(GradewatchError, match="Remove that folder to rebuild the tables"):
        bind(tmp_path, "app", "one")


def test_tables_of_a_release_that_named_no_owner_are_taken(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    bind(tmp_path, "app", "one")
    assert (tmp_path / OWNER_FILE).exists()
    assert not list(tmp_path.glob("*.new"))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file")
    with pytest.raises(SettingsError, match="can't be read and written"):
        bind(tmp_path / "app", "app", "one")
