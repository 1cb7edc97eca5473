"""The embedded broker starts, keeps its data, ends with its parent, and says what is wrong."""

import signal
import socket
import subprocess
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from app import embedded
from app.children import LOOPBACK, free_ports, start_child, stop_child
from app.embedded import EmbeddedBroker, EmbeddedBrokerError, find_binary, speaks_kafka
from tests.clients import consume, create_topic, produce

VALUES = [b"one", b"two", b"three"]


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "snappy", "gzip"])
async def test_what_was_written_is_there_after_a_restart(
    embedded_broker: EmbeddedBroker, compression: str | None
) -> None:
    await create_topic(embedded_broker.bootstrap, "kept")
    await produce(embedded_broker.bootstrap, "kept", VALUES, compression=compression)
    first = embedded_broker.pid

    embedded_broker.stop()
    assert embedded_broker.pid is None
    embedded_broker.start()

    assert embedded_broker.pid not in (first, None)
    assert [record.value for record in await consume(embedded_broker.bootstrap, "kept")] == VALUES


def test_it_listens_on_loopback_and_is_gone_after_its_block(embedded_broker: EmbeddedBroker) -> None:
    host, port = embedded_broker.bootstrap.split(":")
    assert host == LOOPBACK
    assert speaks_kafka(host, int(port))
    embedded_broker.stop()
    embedded_broker.stop()  # a second time is harmless
    assert not speaks_kafka(host, int(port))


def test_starting_it_twice_is_refused(embedded_broker: EmbeddedBroker) -> None:
    with pytest.raises(EmbeddedBrokerError, match="runs already"):
        embedded_broker.start()


@pytest.mark.usefixtures("embedded_installed")
def test_a_taken_port_is_told_with_the_brokers_own_words(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, free_ports(1)[0])) as taken:
        broker = EmbeddedBroker(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(EmbeddedBrokerError, match="already in use"):
            broker.start()
    assert broker.pid is None


def test_one_that_does_not_answer_in_time_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho waking up\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(embedded, "find_binary", lambda: silent)
    broker = EmbeddedBroker(tmp_path / "data", start_timeout_seconds=1)
    with pytest.raises(EmbeddedBrokerError, match=r"(?s)did not answer .* within 1 s.*waking up"):
        broker.start()
    assert broker.pid is None


def test_one_that_is_not_installed_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(EmbeddedBrokerError, match=r"pip install -e '\.\[demo\]'"):
        EmbeddedBroker(tmp_path / "data").start()
    assert not (tmp_path / "data").exists()


def test_its_binary_is_made_executable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = ModuleSpec("noida_db", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(embedded, "find_spec", lambda name: package)
    binary = tmp_path / "noida-db"
    binary.touch(mode=0o644)
    assert find_binary() == binary
    assert binary.stat().st_mode & 0o111 == 0o111


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = (
        "import sys, time; from pathlib import Path; from app.children import start_child\n"
        "child = start_child(['sleep', '60'], log=Path(sys.argv[1])); print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, log], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _is_alive(child)
        parent.send_signal(signal.SIGKILL)
    _wait_until_gone(child)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start_child(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], log=log)
    deadline = time.monotonic() + 10
    while not log.exists() or "ready" not in log.read_text():
        assert time.monotonic() < deadline, "the child did not come up"
        time.sleep(0.02)
    assert stop_child(child, grace_seconds=0.2) == -signal.SIGKILL


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        socket.create_server((LOOPBACK, port)).close()


def test_what_answers_otherwise_does_not_speak_kafka() -> None:
    with socket.create_server((LOOPBACK, 0)) as mute:
        assert not speaks_kafka(LOOPBACK, mute.getsockname()[1])


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # an orphan that nobody has reaped yet


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while _is_alive(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
