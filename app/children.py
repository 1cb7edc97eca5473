"""Child processes that end with this one, and free ports for them: brokers for the demo and for tests."""

import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range from which Linux and macOS take the ports of outgoing connections. A client that retries a
# port of that range while nobody listens there can be connected to itself, and then holds the port for ever.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000

# Runs in the child before it becomes the program (exec keeps the process id). Linux alone can be asked to end
# a process with its parent; the second look at the parent closes the gap before that was asked.
_TIE_TO_PARENT = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def free_ports(count: int) -> tuple[int, ...]:
    """Give ``count`` different TCP ports on which nothing listens on 127.0.0.1 now.

    They are not reserved: another process may take one before it is used.

    Raises:
        OSError: no free port was found in a bounded number of tries.
    """
    choose = random.SystemRandom()
    ports: set[int] = set()
    for _ in range(100 * count):
        port = choose.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate, contextlib.suppress(OSError):
            candidate.bind((LOOPBACK, port))
            ports.add(port)
        if len(ports) == count:
            return tuple(ports)
    raise OSError(f"found no {count} free ports between {_FIRST_PORT} and {_LAST_PORT}")


def start_child(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program which does not outlive this process.

    Its output is appended to ``log``; without one it goes where this process's own goes.

    On Linux the kernel kills it when the thread that called this ends, however that comes about, so call it
    from the main thread; elsewhere only `stop_child` ends it. It has its own session: Ctrl-C in the terminal
    reaches this process alone, which then ends its children in the order it likes.
    """
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _TIE_TO_PARENT,
        str(os.getpid()),
        *(os.fspath(a) for a in argv),
    ]
    with contextlib.nullcontext() if log is None else log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the program is the caller's, no shell is involved
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )


def stop_child(process: subprocess.Popen[bytes], *, grace_seconds: float) -> int:
    """End a child with SIGTERM, after ``grace_seconds`` with SIGKILL, and return its exit status."""
    process.terminate()
    try:
        return process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def log_tail(log: Path, *, lines: int = 20) -> str:
    """Give the last lines of a child's log, for an error message; empty when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
