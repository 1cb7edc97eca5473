"""Run Gradewatch with a first recovery that a rebalance overtakes: `overtaken.py COMMAND…`.

Its seek waits until the group shares out anew, and the assignment that follows comes two seconds late.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

# Else this folder comes first, and what lies here would hide what others import by the same names.
sys.path.remove(str(Path(__file__).resolve().parent))

from faust.types import TP

from app.main import main
from engine.consumer import ChunkConsumer

_seek: Final = ChunkConsumer.perform_seek
_revoked: Final = ChunkConsumer.on_partitions_revoked
_assigned: Final = ChunkConsumer.on_partitions_assigned
_given_up = 0
_overtaken = asyncio.Event()


async def _on_revoked(consumer: ChunkConsumer, revoked: set[TP]) -> None:
    global _given_up
    await _revoked(consumer, revoked)
    _given_up += 1
    if _given_up == 2:  # the first is that of the start
        _overtaken.set()


async def _on_assigned(consumer: ChunkConsumer, assigned: set[TP], generation_id: int = 0) -> None:
    if _given_up == 2:
        await asyncio.sleep(2.0)
    await _assigned(consumer, assigned, generation_id)


async def _perform_seek(consumer: ChunkConsumer) -> None:
    if not _overtaken.is_set():
        print('{"event": "seek.waiting"}', flush=True)  # noqa: T201
        await _overtaken.wait()
    await _seek(consumer)


if __name__ == "__main__":
    ChunkConsumer.on_partitions_revoked = _on_revoked  # type: ignore[method-assign, assignment]
    ChunkConsumer.on_partitions_assigned = _on_assigned  # type: ignore[method-assign, assignment]
    ChunkConsumer.perform_seek = _perform_seek  # type: ignore[method-assign, assignment]
    sys.argv[0] = "gradewatch"
    main()
