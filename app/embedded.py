"""A broker without Docker and Java for `gradewatch demo` and quick tests: noida-db. Development only.

noida-db is one small binary that speaks the Kafka protocol (the optional extra ``demo``). It keeps neither
replicas nor Kafka's durability: real use wants Apache Kafka.
"""

import shutil
import socket
import stat
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from app.children import LOOPBACK, free_ports, log_tail, start_child, stop_child
from app.errors import GradewatchError

INSTALL_HINT = "install it with: pip install -e '.[demo]'"

_API_VERSIONS = 18  # https://kafka.apache.org/protocol, "Api Keys"
_PROBE_TIMEOUT_SECONDS = 1.0
_PROBE_INTERVAL_SECONDS = 0.02


class EmbeddedBrokerError(GradewatchError):
    """The embedded broker is not installed or did not start; the sentence says what to do."""


class EmbeddedBroker:
    """One noida-db process with its data and its log in ``data_dir``; use it in a ``with`` block.

    The data stays when it stops: a broker started on the same folder serves it again. Start it from the main
    thread (`app.children.start_child` says why).

    Attributes:
        bootstrap: ``host:port`` for clients; always loopback.
        log_path: where the process writes.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        start_timeout_seconds: float = 20.0,
        stop_timeout_seconds: float = 10.0,
    ) -> None:
        self._data_dir = data_dir
        self._port = port if port is not None else free_ports(1)[0]
        self._start_timeout_seconds = start_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"{LOOPBACK}:{self._port}"
        self.log_path = data_dir / "noida-db.log"

    @property
    def pid(self) -> int | None:
        """The process id of the running broker, else None."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the broker and return when it answers in the Kafka protocol.

        Raises:
            EmbeddedBrokerError: it isn't installed, ended at once or did not answer in time.
        """
        if self._process is not None:
            raise EmbeddedBrokerError(f"the embedded broker runs already at {self.bootstrap}")
        binary = find_binary()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._process = start_child(
            [
                *(binary, "start", "--only", "kafka", "--host", LOOPBACK),
                *("--kafka-port", str(self._port), "--data-dir", self._data_dir),
            ],
            log=self.log_path,
        )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker and wait for it; without effect when it doesn't run."""
        if self._process is not None:
            stop_child(self._process, grace_seconds=self._stop_timeout_seconds)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_timeout_seconds
        while time.monotonic() < deadline:
            status = process.poll()
            if status is not None:
                raise EmbeddedBrokerError(self._failure(f"ended at its start with status {status}"))
            if speaks_kafka(LOOPBACK, self._port):
                return
            time.sleep(_PROBE_INTERVAL_SECONDS)
        raise EmbeddedBrokerError(
            self._failure(f"did not answer at {self.bootstrap} within {self._start_timeout_seconds:g} s")
        )

    def _failure(self, what: str) -> str:
        return (
            f"the embedded broker noida-db {what}; its log {self.log_path} ends:\n{log_tail(self.log_path)}"
        )


def find_binary() -> Path:
    """Find noida-db's executable in its installed package, else beside this Python.

    Raises:
        EmbeddedBrokerError: it isn't installed or may not be executed.
    """
    name = "noida-db.exe" if sys.platform == "win32" else "noida-db"
    spec = find_spec("noida_db")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).with_name(name)
        if binary.is_file():
            return _executable(binary)
    beside_python = shutil.which(name, path=str(Path(sys.executable).parent))
    if beside_python is None:
        raise EmbeddedBrokerError(f"the embedded broker noida-db isn't installed; {INSTALL_HINT}")
    return Path(beside_python)


def _executable(binary: Path) -> Path:
    # The wheel's own launcher sets this too: installers unpack package data without the executable bit.
    mode = binary.stat().st_mode
    if not mode & stat.S_IXUSR:
        try:
            binary.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        except OSError as error:
            raise EmbeddedBrokerError(f"{binary} isn't executable and can't be made so: {error}") from error
    return binary


def speaks_kafka(host: str, port: int) -> bool:
    """Say whether a broker answers an ApiVersions request there, as any Kafka client's first request is."""
    correlation_id = 1
    request = struct.pack(">hhih", _API_VERSIONS, 0, correlation_id, -1)  # version 0, no client id
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                head = answer.read(10)  # length, correlation id, error code
    except OSError:
        return False
    if len(head) < 10:
        return False
    _length, answered_id, error_code = struct.unpack(">iih", head)
    return bool(answered_id == correlation_id and error_code == 0)
