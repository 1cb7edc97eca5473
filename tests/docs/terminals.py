"""Follows a page as a reader would: its commands into terminals, their output compared.

A `console` block is typed into the terminal that the comment before it names (`<!-- terminal: NAME -->`),
else into the main one. In the main terminal each command is waited for, and what the page shows below it
has to come, where `...` stands for anything. In any other terminal the last command goes on until Ctrl-C.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, Self

MAIN = "main"

_BLOCK = re.compile(r"(?:<!-- terminal: (?P<terminal>\w+) -->\n\n)?```console\n(?P<text>.*?)```", re.DOTALL)
_DONE = "--- done with status "


class Command(NamedTuple):
    """One line to type."""

    terminal: str
    line: str
    shown: str
    """What the page shows as its output; empty where it shows none."""


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of a part of a page, in order."""
    for block in _BLOCK.finditer(text):
        for typed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block["text"], re.MULTILINE):
            yield Command(block["terminal"] or MAIN, *typed)


def matches(output: str, shown: str) -> bool:
    """Whether an output is what a page shows, but for what `...` stands for and how wide columns are."""
    left = _plain(output)
    first, *others = (part.strip() for part in _plain(shown).split("..."))
    if not others:
        return left == first
    if not (left.startswith(first) and left.endswith(others[-1])):
        return False
    left = left[len(first) : len(left) - len(others[-1])]
    for part in others[:-1]:
        found = left.find(part)
        if found < 0:
            return False
        left = left[found + len(part) :]
    return True


def _plain(text: str) -> str:
    return "\n".join(re.sub(r" +", " ", line).rstrip() for line in text.strip().splitlines())


class Terminal:
    """A shell of its own in a folder; in a group of processes of its own, as a terminal's are."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._file: IO[bytes] = log.open("wb")
        self._shell = subprocess.Popen(
            ["bash"],  # noqa: S607 - wherever the machine has it
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.press_ctrl_c()
        try:
            self._shell.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        self._file.close()
        print(f"--- {self._log.name}\n{self.output}")  # noqa: T201 - pytest shows it where the test failed

    @property
    def output(self) -> str:
        """All that was printed."""
        return self._log.read_text(errors="replace")

    def type(self, line: str) -> None:
        """Enter a line."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(line.encode() + b"\n")
        self._shell.stdin.flush()

    def run(self, line: str, seconds: float) -> tuple[int, str]:
        """Enter a line, wait for its end, and return its status and output."""
        begins = len(self.output)
        self.type(line)
        self.type(f'echo "{_DONE}$?"')
        deadline = time.monotonic() + seconds
        while (end := self.output.find(_DONE, begins)) < 0 or not self.output.endswith("\n"):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {line}"
            time.sleep(0.05)
        return int(self.output[end + len(_DONE) :]), self.output[begins:end]

    def press_ctrl_c(self) -> None:
        """Interrupt what runs; a shell that reads no terminal ends with it."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGINT)
