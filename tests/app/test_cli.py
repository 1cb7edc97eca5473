from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.children import LOOPBACK, free_ports
from app.cli import run
from app.main import COMMANDS, main

CHECKOUT = Path(__file__).parents[2]


def gradewatch(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(
        main, arguments, env={f"GRADEWATCH_{name}": value for name, value in environment.items()}
    )


def test_help_lists_the_commands_and_the_exit_codes() -> None:
    result = gradewatch("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
    assert "Exit codes: 0 done, 1 failed, 2 wrong use" in result.stdout


def test_help_imports_no_command_and_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys; from app.main import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('aiokafka', 'faust', 'pydantic', 'rich', 'structlog', 'app.commands') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=CHECKOUT
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["topics", "config", "alerts", "scores", "dead-letters"])
def test_every_command_and_subcommand_has_help_and_takes_a_config_file(name: str) -> None:
    result = gradewatch(name, "--help")
    assert (result.exit_code, "--config FILE" in result.stdout) == (0, True)
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Group)
    for subcommand in command.commands:
        result = gradewatch(name, subcommand, "--help")
        assert (result.exit_code, "--config FILE" in result.stdout) == (0, True)


def test_version() -> None:
    result = gradewatch("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("gradewatch ")


@pytest.mark.parametrize("arguments", [["unknown"], ["config", "unknown"], ["topics", "check", "--nope"]])
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    assert gradewatch(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["config", "check"], ["topics", "check"], ["alerts", "tail"]])
def test_bad_configuration_exits_with_2_and_sentences(arguments: list[str]) -> None:
    result = gradewatch(*arguments, PARTITIONS="eight", WEB_PORT="-1")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: GRADEWATCH_PARTITIONS is 'eight', but must be a whole number from 1 to 10000.",
        "       GRADEWATCH_WEB_PORT is '-1', but must be a whole number from 0 to 65535.",
    ]


def test_config_check_looks_into_the_tls_files() -> None:
    result = gradewatch("config", "check", SECURITY_PROTOCOL="SSL", TLS_CA_FILE=__file__)
    assert result.exit_code == 2
    assert "no usable certificate" in result.stderr


def test_config_check_says_what_it_ignored() -> None:
    result = gradewatch("config", "check", FOO_BAR="x")
    assert result.exit_code == 0
    assert result.stdout.startswith("The settings are right: 0 given, ")
    assert result.stderr == "Warning: GRADEWATCH_FOO_BAR is not a setting and was ignored.\n"


@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_the_config_file_may_stand_anywhere(tmp_path: Path, place: str) -> None:
    file = tmp_path / "gradewatch.toml"
    file.write_text("partitions = 3")
    option, words = ["--config", str(file)], ["config", "show", "--json"]
    position = {"before": 0, "between": 1, "after": 3}[place]
    result = gradewatch(*words[:position], *option, *words[position:])
    assert json.loads(result.stdout)["GRADEWATCH_PARTITIONS"]["value"] == 3
    assert json.loads(result.stdout)["GRADEWATCH_PARTITIONS"]["source"] == "file"


def test_config_show_lists_values_and_where_they_come_from_without_secrets() -> None:
    result = gradewatch("config", "show", WEB_TOKEN="hunter2", PARTITIONS="12")  # noqa: S106
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    assert ["", "GRADEWATCH_PARTITIONS", "12", "partitions", "environment", ""] in rows
    assert ["", "GRADEWATCH_APP_ID", "gradewatch", "", "default", ""] in rows
    assert ["", "GRADEWATCH_WEB_TOKEN", "********", "", "environment", ""] in rows
    assert "hunter2" not in result.output
    assert "hunter2" not in gradewatch("config", "show", "--json", WEB_TOKEN="hunter2").output  # noqa: S106


@pytest.mark.parametrize(
    "arguments", [["topics", "check"], ["topics", "create"], ["alerts", "tail"], ["scores", "show", "root:7"]]
)
def test_an_unreachable_broker_ends_with_one_sentence_in_time(arguments: list[str]) -> None:
    brokers = f"{LOOPBACK}:{free_ports(1)[0]}"
    began = time.monotonic()
    result = gradewatch(*arguments, BROKERS=brokers, BROKER_TIMEOUT_SECONDS="0.3")
    assert time.monotonic() - began < 5
    assert result.exit_code == 1
    sentences = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    (sentence,) = sentences
    assert sentence.startswith(f"Error: No broker answered at {brokers} within 0.3 s: ")
    assert "Connect call failed" in sentence
    assert "Traceback" not in result.output


@pytest.mark.parametrize("student", ["7", "root:", ":7", "root:x", "root:12345678901234567890", "root:٣"])
def test_a_student_of_wrong_form_is_wrong_use(student: str) -> None:
    result = gradewatch("scores", "show", student)
    assert result.exit_code == 2
    assert "is not ROOT_ACCOUNT_UUID:USER_ID" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["alrets"], "alerts"), (["topics", "chek"], "check"), (["deadletters"], "dead-letters")],
)
def test_a_command_that_is_spelt_wrong_is_guessed(arguments: list[str], meant: str) -> None:
    result = gradewatch(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean {meant}?" in result.stderr


@pytest.mark.parametrize("arguments", [["config", "show"], ["generate", "--events", "20000", "--out", "-"]])
def test_a_full_disk_is_said(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "app.main", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: The output could not be written: No space left on device.\n"


@pytest.mark.parametrize(
    "arguments", [["topics", "check"], ["dead-letters", "list"], ["scores", "show", "r:1"]]
)
def test_ctrl_c_ends_with_130(arguments: list[str]) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen(
        [sys.executable, "-m", "app.main", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "GRADEWATCH_BROKERS": f"{LOOPBACK}:{port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command_line:
        assert command_line.stderr is not None
        assert "broker.unreachable" in command_line.stderr.readline()
        command_line.send_signal(signal.SIGINT)
        assert command_line.wait(timeout=20) == 130
        assert "Traceback" not in command_line.stderr.read()


def test_ctrl_c_cancels_a_command_between_two_steps_of_the_loop() -> None:
    seen: list[int] = []

    async def command() -> None:
        task = asyncio.current_task()
        assert task is not None
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(task.cancelling())  # here a library may be about to set a future's result
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(task.cancelling())

    with pytest.raises(KeyboardInterrupt):
        run(command())
    assert seen == [0, 1]


def test_a_second_ctrl_c_does_not_wait() -> None:
    async def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(command())
    assert time.monotonic() - began < 30
