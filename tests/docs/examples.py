"""The example programs of the how-to guides: found, loaded, and run as a reader would."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Self

from app.children import start_child
from app.docs import ROOT
from tests.kafka import LIBRARIES, find_java

FOLDER = ROOT / "docs" / "examples"
NODE_MODULES = ROOT / "target" / "javascript" / "node_modules"

PATIENCE_SECONDS = 60.0


def load(name: str) -> ModuleType:
    """Import an example."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_subscriber(_folder: Path) -> list[str | Path]:
    """Return the command of the subscriber in Python."""
    return [sys.executable, FOLDER / "subscribe.py"]


def java_subscriber(_folder: Path) -> list[str | Path] | str:
    """Return the command of the subscriber in Java, or what is missing."""
    java = find_java()
    if java is None or not Path(java).resolve().with_name("javac").exists():
        return "a JDK is not installed (on Debian: apt-get install openjdk-17-jdk-headless)"
    return [java, "-cp", f"{LIBRARIES}/*", FOLDER / "java" / "Subscribe.java"]


def javascript_subscriber(folder: Path) -> list[str | Path] | str:
    """Return the command of the subscriber in JavaScript, or what is missing."""
    node = shutil.which("node")
    if node is None:
        return "Node.js is not installed (on Debian: apt-get install nodejs npm)"
    if not NODE_MODULES.exists():
        return "the packages of the example in JavaScript aren't there (run: make javascript-packages)"
    (folder / "node_modules").symlink_to(NODE_MODULES)
    for name in ("package.json", "subscribe.js"):
        shutil.copy(FOLDER / "javascript" / name, folder)
    return [node, folder / "subscribe.js"]


class Program:
    """A running example; what it prints goes to a file."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self.log = log
        self._process = start_child(list(command), log=log, cwd=log.parent, env=dict(os.environ))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=PATIENCE_SECONDS / 2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        print(f"--- {self.log.name}\n{self.log.read_text()}")  # noqa: T201 - pytest shows it on failure

    def until_printed(self, lines: int) -> list[str]:
        """Wait until it has printed so many JSON lines, and return them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(printed := self.printed()) < lines:
            assert self._process.poll() is None, f"ended with {self._process.poll()}\n{self.log.read_text()}"
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return printed

    def printed(self) -> list[str]:
        """Return the JSON lines that it has printed."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("{")]
