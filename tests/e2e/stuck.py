"""Run Gradewatch with something that gets stuck: `stuck.py HOW COMMAND…`.

HOW is what the scorer does at its first chunk, or what fetches bring: nothing at all (`starves`), or what one
more partition has every second (`trickles`).
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

# Else this folder comes first, and what lies here would hide what others import by the same names.
sys.path.remove(str(Path(__file__).resolve().parent))

from faust.types import TP

from agents.scorer import Scorer
from app.main import main
from engine.consumer import ChunkConsumer


async def _waits(*_: Any) -> None:
    await asyncio.Event().wait()


async def _clings(*_: Any) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _spins(*_: Any) -> None:
    while True:
        pass


_fetchable: Final = ChunkConsumer._fetchable


def _nothing(_: ChunkConsumer) -> set[TP]:
    return set()


def _one(consumer: ChunkConsumer) -> set[TP]:
    tps = sorted(_fetchable(consumer))
    return {tps[int(time.monotonic()) % len(tps)]} if tps else set()


FETCHES: Final = {"starves": _nothing, "trickles": _one}
HOW: Final = {"waits": _waits, "clings": _clings, "spins": _spins}

if __name__ == "__main__":
    _, how, *command = sys.argv
    if how in FETCHES:
        ChunkConsumer._fetchable = FETCHES[how]  # type: ignore[method-assign, assignment]
    else:
        Scorer.__call__ = HOW[how]  # type: ignore[method-assign, assignment]
    sys.argv = ["gradewatch", *command]
    main()
