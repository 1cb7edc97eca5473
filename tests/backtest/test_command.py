"""`gradewatch backtest` as a user meets it: what it prints where, and its mistakes."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from tests.backtest.conftest import Recording, backtest, document

Write = Callable[..., Path]


def test_a_row_of_csv_for_every_rule_and_week(in_order: Recording, write: Write) -> None:
    file = write("semester.jsonl", in_order)

    rows = list(csv.DictReader(backtest(file, "--csv").stdout.splitlines()))

    found = document(file)
    assert len(rows) == len(found["alerts_by_rule"]) * found["weeks"]
    for status in ("opened", "escalated", "resolved"):
        assert sum(int(row[status]) for row in rows) == sum(
            counts[status] for counts in found["alerts_by_rule"].values()
        )
    for row in rows:
        raised = found["alerts_by_week"][row["week"]][row["rule"]]
        assert int(row["opened"]) + int(row["escalated"]) == raised
        assert float(row["per_100_students"]) == 100 * raised / found["students"]
        assert row["rules"] == "built-in defaults"


def test_people_are_shown_all_of_it_without_colours_in_a_pipe(in_order: Recording, write: Write) -> None:
    shown = backtest(write("semester.jsonl", in_order)).stdout

    for title in ("Alerts by built-in defaults", "per week", "Courses with the most", "deepest drop"):
        assert title in shown
    assert "30 students in 5 courses" in shown
    assert "\x1b" not in shown


def test_a_page_can_be_had_beside_each_form(in_order: Recording, write: Write, tmp_path: Path) -> None:
    file, page = write("semester.jsonl", in_order), tmp_path / "page.html"

    plain = backtest(file, "--json")
    with_page = backtest(file, "--json", "--html", page)

    assert json.loads(with_page.stdout).keys() == json.loads(plain.stdout).keys()
    assert page.read_text().startswith("<!doctype html>")


def test_no_student_is_named_unless_asked(in_order: Recording, write: Write, tmp_path: Path) -> None:
    file, alerts = write("semester.jsonl", in_order), tmp_path / "alerts.jsonl"

    outputs = [backtest(file, *form, "--alerts", alerts).stdout for form in ((), ("--json",), ("--csv",))]

    students = {orjson.loads(line)["user_id"] for line in alerts.read_bytes().splitlines()} - {None}
    assert len(students) > 5
    for student in students:
        assert not any(student in output for output in outputs)


def test_alerts_of_two_sets_of_rules_say_whose_they_are(
    in_order: Recording, write: Write, eager_rules: Path, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts.jsonl"

    found = document(write("semester.jsonl", in_order), "--compare", eager_rules, "--alerts", alerts)

    ids: dict[str, set[str]] = {"built-in defaults": set(), "eager.toml": set()}
    for line in alerts.read_bytes().splitlines():
        alert = orjson.loads(line)
        for name in alert["rules"]:
            ids[name].add(alert["alert_id"])
    first, second = ids.values()
    compared = found["compare"]
    assert len(first & second) == compared["same"]
    assert len(second - first) == compared["added"]
    assert len(first - second) == compared["removed"]


def test_the_rules_of_the_settings_are_tried_by_default(
    in_order: Recording, write: Write, eager_rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("semester.jsonl", in_order)
    given = document(file, "--rules", eager_rules)

    monkeypatch.setenv("GRADEWATCH_RULES", str(eager_rules))

    assert document(file) == given
    assert given["rules"]["name"] == "eager.toml"
    assert "courses_at_risk" not in given["alerts_by_rule"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "either files (- for stdin) or --topic"),
        (("-", "--topic"), "either files (- for stdin) or --topic"),
        (("nowhere.jsonl",), "There is no file nowhere.jsonl"),
        (("-", "-"), "only once"),
        (("-", "--from", "2025-01-01"), "--from and --to go with --topic"),
        (("--topic", "--merge"), "--merge goes with files only"),
        (("--topic", "--from", "2025-01-02", "--to", "2025-01-02"), "--from: must be before --to"),
        (("-", "--json", "--csv"), "exclude each other"),
        (("-", "--rule", "no_such_rule"), "no_such_rule"),
        (("-", "--within", "0"), "--within"),
        (("-", "--within", "nan"), "nan is not a finite number"),
        (("-", "--within", "inf"), "inf is not a finite number"),
        (("-", "--html", "both", "--alerts", "both"), "--html and --alerts name the same file"),
        (("-", "--html", "nowhere/page.html"), "there is no folder nowhere"),
        (("-", "--labels", "nowhere.jsonl"), "nowhere.jsonl"),
        (("-", "--rules", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_wrong_use_ends_with_a_sentence_and_2(arguments: tuple[str, ...], sentence: str) -> None:
    result = backtest(*arguments, stdin=b"")

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not result.stdout


def test_what_is_to_be_read_is_not_written_over(write: Write, eager_rules: Path, in_order: Recording) -> None:
    file = write("semester.jsonl", in_order)
    before = file.read_bytes(), eager_rules.read_bytes()

    for option, path in (("--alerts", file), ("--html", file), ("--alerts", eager_rules)):
        result = backtest(file, "--rules", eager_rules, option, path)
        assert result.exit_code == 2
        assert "is to be read, not written over" in " ".join(result.stderr.split())

    assert (file.read_bytes(), eager_rules.read_bytes()) == before


def test_tables_are_shown_where_the_locale_has_no_lines_to_draw_them(
    in_order: Recording, write: Write, tmp_path: Path
) -> None:
    file = write("semester.jsonl", in_order)
    command = [sys.executable, "-m", "app.main", "backtest", str(file)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    result = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert (result.returncode, result.stderr) == (0, "")
    assert "all rules" in result.stdout


def test_a_closed_stdin_fails_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> None:
        raise RuntimeError("Was not able to determine binary stream for sys.stdin.")

    monkeypatch.setattr("app.backtest.lines.click.get_binary_stream", closed)

    result = backtest("-")

    assert result.exit_code == 1
    assert "stdin: it is closed" in result.stderr


def test_mistakes_in_the_rules_are_told_before_anything_is_read(tmp_path: Path) -> None:
    rules = tmp_path / "broken.toml"
    rules.write_text("[score_drop]\nmin_drops = 5\n")

    result = backtest("-", "--compare", rules, stdin=b"")

    assert result.exit_code == 2
    assert f"{rules}:2" in result.stderr


def test_a_file_that_cannot_be_read_fails_with_1(tmp_path: Path) -> None:
    result = backtest(tmp_path)

    assert result.exit_code == 1
    assert f"Cannot read {tmp_path}" in result.stderr


def test_a_bar_on_stderr_shows_how_far_it_is(in_order: Recording, write: Write) -> None:
    leader, follower = pty.openpty()
    file = write("semester.jsonl", in_order * 5)
    program = [sys.executable, "-m", "app.main", "backtest", str(file), "--json"]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}

    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=follower, env=environment) as child:
        os.close(follower)
        shown = b""
        with suppress(OSError), os.fdopen(leader, "rb", buffering=0) as terminal:  # its end is an error
            while some := terminal.read(4096):
                shown += some
        printed, _ = child.communicate()

    assert json.loads(printed)["events"] == 5 * len(in_order)
    for part in ("Replaying", "events", "MB"):
        assert part.encode() in shown
