"""`gradewatch rules`: the mistakes in a file, and which rules apply where."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.errors import SettingsError
from app.main import main
from app.rules import RulesError, load_rules
from tables.rulebook import DEFAULT_RULEBOOK

BROKEN = Path(__file__).parents[1] / "fixtures" / "rules" / "broken"

RULES = """
[score_drop]
window = "1d12h"
[accounts."7xb2".score_drop]
min_drop = 12
[accounts."7xb2".courses."42".threshold_crossed]
thresholds = [75, 65.5]
[accounts."7xb2".courses."42".course_wide_drop]
enabled = false
"""


def gradewatch(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(
        main, arguments, env={f"GRADEWATCH_{name}": value for name, value in environment.items()}
    )


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_there_are_broken_files_and_each_has_its_output() -> None:
    names = {path.stem for path in BROKEN.glob("*.toml")}
    assert len(names) >= 10
    assert {path.stem for path in BROKEN.glob("*.txt")} == names


@pytest.mark.parametrize("name", sorted(path.name for path in BROKEN.glob("*.toml")))
def test_check_tells_every_mistake_in_a_broken_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    result = gradewatch("rules", "check", name)
    assert (result.exit_code, result.stdout) == (1, Path(name).with_suffix(".txt").read_text())
    as_json = gradewatch("rules", "check", "--json", name)
    document = json.loads(as_json.stdout)
    assert (as_json.exit_code, document["ok"]) == (1, False)
    assert [
        ": ".join(
            filter(None, [f"{mistake['file']}:{mistake['line']}", mistake["field"], mistake["sentence"]])
        )
        for mistake in document["mistakes"]
    ] == result.stdout.splitlines()


def test_check_of_a_right_file_tells_its_hash(rules_file: Path) -> None:
    digest = load_rules(rules_file).digest
    result = gradewatch("rules", "check", str(rules_file))
    assert (result.exit_code, result.stdout) == (0, f"{rules_file} is right; the rules are {digest}.\n")
    result = gradewatch("rules", "check", "--json", str(rules_file))
    assert json.loads(result.stdout) == {"ok": True, "hash": digest, "mistakes": []}


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    assert gradewatch("rules", "check", str(tmp_path / "none.toml")).exit_code == 2
    assert gradewatch("rules", "show", str(tmp_path / "none.toml")).exit_code == 2
    assert gradewatch("rules", "check").exit_code == 2


def test_without_a_file_the_built_in_rules_are_shown() -> None:
    result = gradewatch("rules", "show")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"# Rules {DEFAULT_RULEBOOK.digest}, built in.\n")
    assert tomllib.loads(result.stdout)["score_drop"] == {
        "enabled": True,
        "min_drop": 10.0,
        "critical_drop": 20.0,
        "window": "7d",
        "rearm": 5.0,
    }


def test_what_is_shown_is_a_file_of_the_same_rules(rules_file: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown.toml"
    shown.write_text(gradewatch("rules", "show", RULES=str(rules_file)).stdout, encoding="utf-8")
    assert load_rules(shown) == load_rules(rules_file)
    assert load_rules(shown).digest == load_rules(rules_file).digest


def test_show_resolves_accounts_and_courses(rules_file: Path) -> None:
    def shown(*arguments: str) -> dict[str, dict[str, object]]:
        return tomllib.loads(gradewatch("rules", "show", str(rules_file), *arguments).stdout)

    account = shown("--account", "7xb2")
    assert account["score_drop"]["min_drop"] == 12.0
    assert account["score_drop"]["window"] == "1d12h"
    assert account["threshold_crossed"]["thresholds"] == [70.0, 60.0]
    course = shown("--account", "7xb2", "--course", "42")
    assert course["threshold_crossed"]["thresholds"] == [75.0, 65.5]
    assert course["course_wide_drop"]["enabled"] is False
    assert "accounts" not in account
    default = shown()
    assert default.pop("accounts")
    assert shown("--account", "unheard of", "--course", "42") == default


def test_show_as_json_has_the_hash_and_what_is_asked_for(rules_file: Path) -> None:
    document = json.loads(gradewatch("rules", "show", str(rules_file), "--json").stdout)
    assert document["hash"] == load_rules(rules_file).digest
    assert document["rules"]["course_wide_drop"] == {"enabled": True, "min_students": 10, "window": "1h"}
    assert document["accounts"] == {
        "7xb2": {
            "score_drop": {"min_drop": 12.0},
            "courses": {
                "42": {
                    "threshold_crossed": {"thresholds": [75.0, 65.5]},
                    "course_wide_drop": {"enabled": False},
                }
            },
        }
    }
    of_course = json.loads(
        gradewatch("rules", "show", str(rules_file), "--account", "7xb2", "--course", "42", "--json").stdout
    )
    assert (of_course["account"], of_course["course"], "accounts" in of_course) == ("7xb2", "42", False)
    assert of_course["rules"]["threshold_crossed"]["thresholds"] == [75.0, 65.5]


def test_a_course_means_nothing_without_its_account() -> None:
    result = gradewatch("rules", "show", "--course", "42")
    assert result.exit_code == 2
    assert "--course needs --account" in result.stderr


def test_a_broken_file_in_the_settings_is_bad_configuration() -> None:
    for command in (("rules", "show"), ("config", "check"), ("scores", "show", "school:2")):
        result = gradewatch(*command, RULES=str(BROKEN / "thresholds.toml"))
        assert result.exit_code == 2
        assert f"{BROKEN / 'thresholds.toml'}:2: threshold_crossed.thresholds: must be" in result.stderr


def test_errors_are_settings_errors_with_a_line_for_each_mistake(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as refusal:
        load_rules(BROKEN / "contradictions.toml")
    assert refusal.value.exit_code == 2
    assert len(str(refusal.value).splitlines()) == 3
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_rules(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n")
    with pytest.raises(SettingsError, match="not a text in UTF-8"):
        load_rules(latin)


def test_a_byte_order_mark_is_no_mistake(rules_file: Path) -> None:
    rules_file.write_bytes(b"\xef\xbb\xbf" + RULES.encode())
    assert load_rules(rules_file).default.score_drop.window == 129_600_000
