"""A contender's processes: started, watched through /proc, ended by their own ids."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.children import log_tail, start_child, stop_child

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 1024**2
STOP_GRACE_SECONDS = 30.0


class ContenderError(RuntimeError):
    """A contender ended by itself, took too long, or did something else than the job."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used so far."""

    cpu_seconds: float
    rss_mib: float


class Processes:
    """One or more processes of one contender, with all their children. Start them in the main thread.

    Where they are `wrapped` in another program, that one is left out of what they use, and ends by itself
    once what is in it has ended.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        env: Mapping[str, str],
        log: Path,
        *,
        wrapped: bool = False,
    ) -> None:
        self._commands = commands
        self._wrapped = wrapped
        self._env = {**os.environ, **env}
        self.log = log
        self._children: list[subprocess.Popen[bytes]] = []
        self.max_rss_mib = 0.0

    def __enter__(self) -> Self:
        for number, command in enumerate(self._commands):
            env = {name: value.replace("{worker}", str(number)) for name, value in self._env.items()}
            self._children.append(start_child(command, log=self.log, env=env))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End them with SIGTERM, and by force what doesn't listen."""
        for child in self._children:
            for pid in self._watched(child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(STOP_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                stop_child(child, grace_seconds=1.0)
        self._children.clear()

    def check(self) -> None:
        """Raise ContenderError, with the end of the log, when one has ended."""
        for child in self._children:
            if child.poll() is not None:
                raise ContenderError(f"ended with status {child.returncode}:\n{log_tail(self.log)}")

    def usage(self) -> Usage:
        """Return what they use now; the greatest memory seen is kept in `max_rss_mib`."""
        cpu_seconds = rss_mib = 0.0
        for pid in {pid for child in self._children for pid in self._watched(child)}:
            try:
                # After the name, which may have blanks in it, come the state and what proc(5) numbers from 4.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            cpu_seconds += sum(map(int, fields[11:15])) / _TICKS  # its own and its waited-for children's
            rss_mib += int(fields[21]) * _PAGE_MIB
        self.max_rss_mib = max(self.max_rss_mib, rss_mib)
        return Usage(cpu_seconds, rss_mib)

    def _watched(self, child: subprocess.Popen[bytes]) -> list[int]:
        return [pid for pid in _tree(child.pid) if not self._wrapped or pid != child.pid]


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and everything below it."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(child)
