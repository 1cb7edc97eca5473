"""Run Gradewatch with a bug whose text quotes what was in hand: `broken.py WHERE COMMAND…`."""

import sys
from pathlib import Path
from typing import Any, Final

# Else this folder comes first, and what lies here would hide what others import by the same names.
sys.path.remove(str(Path(__file__).resolve().parent))

from agents.router import Router
from app.main import main
from engine.chunks import Chunk
from engine.outlet import Outlet
from engine.table import WriteBehindTable


class QuotingError(Exception):
    """A bug that tells all it knows."""


async def _quotes(_: Any, chunk: Chunk) -> None:
    quoted = [(r.key, r.value, r.headers) for piece in chunk.pieces() for r in piece.records]
    raise QuotingError(repr(quoted)) from ValueError(repr(quoted))


def _quotes_rows(_: Any, changes: Any, *__: Any) -> None:
    raise QuotingError(repr([(change.key, change.encoded) for change in changes]))


def _quotes_sent(_: Any, topic: str, key: bytes, value: bytes, headers: Any = (), **options: Any) -> None:
    raise QuotingError(repr((topic, key, value, headers, options)))


def _unless_empty(send: Any, bug: Any) -> Any:
    """Let tombstones pass: a worker sends some before it's ready."""

    def either(outlet: Any, topic: str, key: bytes, value: bytes | None, *more: Any, **options: Any) -> Any:
        return (send if value is None else bug)(outlet, topic, key, value, *more, **options)

    return either


BREAKS: Final[dict[str, tuple[type, str, Any]]] = {
    "router": (Router, "__call__", _quotes),
    "outlet": (Outlet, "send", _unless_empty(Outlet.send, _quotes_sent)),
    "changelog": (WriteBehindTable, "write_changelog", _quotes_rows),
}

if __name__ == "__main__":
    _, where, *command = sys.argv
    owner, name, bug = BREAKS[where]
    setattr(owner, name, bug)
    sys.argv = ["gradewatch", *command]
    main()
