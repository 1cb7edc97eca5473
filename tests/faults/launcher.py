"""Run Gradewatch with something that happens at a chosen moment: `launcher.py POINT DEED TURN COMMAND…`.

The engine has no switch for this; here its methods are wrapped before the command starts. The TURN-th time
the worker comes to POINT, DEED happens to it: `kill` (SIGKILL), `suspend` (SIGSTOP) or `hang` (the thread
sleeps on).
"""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

# Else this folder comes first, and what lies here would hide what others import by the same names.
if sys.path[0] == str(Path(__file__).resolve().parent):
    del sys.path[0]

from app.main import main
from engine.consumer import ChunkConsumer
from engine.consumer_thread import ChunkConsumerThread
from engine.outlet import Outlet
from engine.table import PartitionCache, WriteBehindTable

#: Where something can happen: the method before (or after) which it does.
POINTS: Final = {
    "fetching": (ChunkConsumerThread, "_fetch_records", "before"),
    "folding": (PartitionCache, "change", "before"),
    "flush begins": (WriteBehindTable, "capture", "before"),
    "captured": (WriteBehindTable, "capture", "after"),
    "outlet acknowledged": (Outlet, "drain", "after"),
    "membership checked": (WriteBehindTable, "write_changelog", "before"),
    "changelog queued": (WriteBehindTable, "write_changelog", "after"),
    "changelog acknowledged": (WriteBehindTable, "write_store", "before"),
    "store written": (ChunkConsumer, "_commit_done", "before"),
    "committed": (ChunkConsumer, "_commit_done", "after"),
    "recovering": (WriteBehindTable, "apply_changelog_batch", "before"),
    "recovered": (WriteBehindTable, "on_recovery_completed", "after"),
    "revoked": (ChunkConsumer, "on_partitions_revoked", "before"),
    "given up": (ChunkConsumer, "on_partitions_revoked", "after"),
    "assigned": (ChunkConsumer, "on_partitions_assigned", "before"),
    "seeking": (ChunkConsumer, "perform_seek", "before"),
}


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _suspend() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang() -> None:
    time.sleep(3600)


DEEDS: Final[dict[str, Callable[[], None]]] = {"kill": _kill, "suspend": _suspend, "hang": _hang}


def arrange(point: str, deed: Callable[[], None], turn: int) -> None:
    """Wrap the method of a point so that `deed` happens when it is called for the `turn`-th time."""
    owner, name, when = POINTS[point]
    method = getattr(owner, name)
    left = turn

    def come_by() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            deed()

    @functools.wraps(method)
    def before(*args: Any, **options: Any) -> Any:
        come_by()
        return method(*args, **options)

    @functools.wraps(method)
    def after(*args: Any, **options: Any) -> Any:
        result = method(*args, **options)
        come_by()
        return result

    @functools.wraps(method)
    async def after_awaited(*args: Any, **options: Any) -> Any:
        result = await method(*args, **options)
        come_by()
        return result

    is_coroutine = bool(method.__code__.co_flags & 0x80)  # CO_COROUTINE
    setattr(owner, name, before if when == "before" else after_awaited if is_coroutine else after)


if __name__ == "__main__":
    arrange(sys.argv[1], DEEDS[sys.argv[2]], int(sys.argv[3]))
    sys.argv[1:] = sys.argv[4:]
    main()
