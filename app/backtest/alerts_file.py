"""Every alert of a backtest as a line of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson

from app.semester.sinks import Output, open_output
from tables.cases import AlertDraft


class AlertsFile:
    """Writes alerts as they are found: the fields of the alert but `detected_at`, and whose rules sent it."""

    def __init__(self, file: Output, names: Sequence[str]) -> None:
        self._file = file
        self._names = names

    @classmethod
    @contextmanager
    def open(cls, path: Path, names: Sequence[str]) -> Iterator[AlertsFile]:
        """Open a file, compressed when its name ends in .gz; `names` are those of the sets of rules."""
        with open_output(path) as file:
            yield cls(file, names)

    def take(self, _key: bytes, found: Sequence[Iterable[AlertDraft]]) -> None:
        """Write alerts; those of several sets of rules that are alike in all are one line."""
        lines: dict[bytes, list[str]] = {}
        for name, drafts in zip(self._names, found, strict=True):
            for draft in drafts:
                lines.setdefault(orjson.dumps(asdict(draft))[:-1], []).append(name)
        for alert, names in lines.items():
            self._file.write(b'%b,"rules":%b}\n' % (alert, orjson.dumps(names)))
