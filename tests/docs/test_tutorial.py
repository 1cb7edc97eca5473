"""The tutorial's second path, command by command, as it stands there; only its ports are others."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.children import free_ports
from app.docs import ROOT
from tests.conftest import skip_or_fail
from tests.deploy.prometheus import missing_tools
from tests.docs.terminals import MAIN, Command, Terminal, commands, matches

TUTORIAL = ROOT / "docs" / "tutorial.md"
PORTS = ("9092", "6066", "9091")

#: For one command. The longest is paced by its own --rate, to 20 s.
PATIENCE_SECONDS = 60.0
#: A worker commits once a second and Prometheus asks every five: what a command shows may come a bit later.
LOOK_AGAIN_SECONDS = 30.0


def part(heading: str) -> str:
    """Return what stands under a heading of the tutorial, up to the next of its rank."""
    return re.split(r"^## ", TUTORIAL.read_text(), flags=re.MULTILINE)[heading_number(heading)]


def heading_number(heading: str) -> int:
    """Return which of the tutorial's parts has a heading, counted from 1."""
    headings = re.findall(r"^## (.*)$", TUTORIAL.read_text(), flags=re.MULTILINE)
    return 1 + headings.index(heading)


def set_up(command: Command) -> bool:
    """Whether a command installs something, which the tests' own environment has been through already."""
    return command.line.startswith(("sudo apt-get install", "python3 -m venv", ".venv/bin/pip install"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give what a reader has after the set-up: the repository's files, and the environment."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield tmp_path
    shutil.rmtree(tmp_path / "tutorial", ignore_errors=True)


def test_it_installs_what_it_uses() -> None:
    lines = [command.line for command in commands(part("Without Docker")) if set_up(command)]
    assert len(lines) == 3
    assert "prometheus curl" in lines[0]
    assert lines[-1].endswith("'.[demo]'")


def test_what_a_page_shows_is_compared() -> None:
    assert matches("a  b\nc 12 d\n", "a b\nc ... d")
    assert matches("head\n1\n2\nfoot ", "head\n...\nfoot")
    assert not matches("a\nb", "a")
    assert not matches("a\nb", "...\na")
    assert not matches("b a", "a ... b")
    assert not matches("one two", "one ... three ... two")


def test_every_command_does_what_it_shows(embedded_installed: None, folder: Path) -> None:
    missing = missing_tools() or (
        None if shutil.which("curl") else "curl not found (on Debian: apt-get install curl)"
    )
    if missing is not None:
        skip_or_fail(missing)
    moved = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))

    def at_free_ports(text: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: moved[port[0]], text)

    local = folder / "deploy" / "prometheus" / "local.yml"
    local.write_text(at_free_ports(local.read_text()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADEWATCH_")}
    environment |= {
        "GRADEWATCH_BROKERS": f"127.0.0.1:{moved['9092']}",
        "GRADEWATCH_WEB_PORT": moved["6066"],
        "NO_COLOR": "1",
    }
    page = part("Without Docker")
    todo = [command for command in commands(page) if not set_up(command)]
    (every_terminal,) = (command for command in todo if command.line.startswith(". "))
    todo.remove(every_terminal)
    assert len(todo) > 10

    with ExitStack() as opened:
        terminals: dict[str, Terminal] = {}
        # The broker first: it is the last one to be stopped.
        for name in dict.fromkeys(["broker", MAIN, *(command.terminal for command in todo)]):
            terminals[name] = opened.enter_context(Terminal(folder, environment, folder / f"{name}.log"))
            terminals[name].type(every_terminal.line)
        for command in todo:
            line = command.line
            if line.startswith("gradewatch config check"):
                # As the page has it: no setting is given.
                line = f"env -u GRADEWATCH_BROKERS -u GRADEWATCH_WEB_PORT {line}"
            if command.terminal != MAIN:
                terminals[command.terminal].type(at_free_ports(line))
                continue
            if line.startswith("rm "):  # what the page tells in words before it
                (graphs,) = re.findall(r"<(http://127\.0\.0\.1:9091/classic[^>]*)>", page)
                follow(
                    terminals[MAIN],
                    f"curl --silent --fail --output graphs.html '{at_free_ports(graphs)}'",
                    "",
                )
                stop(terminals["worker"], "worker.stopped")
                stop(terminals["prometheus"], "See you next time!")
                terminals["broker"].press_ctrl_c()
                assert (folder / "tutorial").is_dir()
            follow(terminals[MAIN], at_free_ports(line), command.shown)
    assert not (folder / "tutorial").exists()


def follow(terminal: Terminal, line: str, shown: str) -> None:
    """Run a command; where it does not show what it should yet, once more until it does."""
    deadline = time.monotonic() + LOOK_AGAIN_SECONDS
    while True:
        status, output = terminal.run(line, PATIENCE_SECONDS)
        if status == 0 and (not shown or matches(output, shown)):
            return
        assert time.monotonic() < deadline, f"{line}\n(status {status})\n{output}\nis not\n{shown}"
        time.sleep(0.5)


def stop(terminal: Terminal, text: str) -> None:
    """Press Ctrl-C and wait for the last words."""
    terminal.press_ctrl_c()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in terminal.output:
        assert time.monotonic() < deadline, terminal.output
        time.sleep(0.1)
