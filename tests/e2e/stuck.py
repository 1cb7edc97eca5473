"""Run Gradewatch with a scorer that gets stuck at its first chunk: `stuck.py HOW COMMAND…`."""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

# Else this folder comes first, and what lies here would hide what others import by the same names.
sys.path.remove(str(Path(__file__).resolve().parent))

from agents.scorer import Scorer
from app.main import main


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


HOW: Final = {"waits": _waits, "clings": _clings, "spins": _spins}

if __name__ == "__main__":
    _, how, *command = sys.argv
    Scorer.__call__ = HOW[how]  # type: ignore[method-assign, assignment]
    sys.argv = ["gradewatch", *command]
    main()
