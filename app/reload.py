"""Reading the rules file again while the worker runs: a right one replaces the rules, a wrong one doesn't."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import GradewatchError
from app.logs import logger
from app.rules import load_rules

if TYPE_CHECKING:
    from agents.metrics import Metrics
    from agents.rules import ActiveRules

log = logger()


class RulesReload:
    """Reloads the rules each time it is asked to; asked again meanwhile, once more."""

    def __init__(self, path: Path | None, rules: ActiveRules, metrics: Metrics) -> None:
        """Take the file, None for the rules that are built in, and what it is to change."""
        self._path = path
        self._rules = rules
        self._metrics = metrics
        self._wanted = asyncio.Event()

    def ask(self) -> None:
        """Have the file read again soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Reload whenever asked to, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read the file; agents judge by it from their next chunk on, unless there is a mistake in it."""
        try:
            # A file for thousands of courses takes a while, in which chunks go on.
            book = await asyncio.to_thread(load_rules, self._path)
        except Exception as error:
            # A bug too is no reason to stop judging by the rules that are active.
            problems = str(error).splitlines() if isinstance(error, GradewatchError) else [repr(error)]
            self._metrics.rules_reload_failed.inc()
            log.error("rules.reload_failed", problems=problems, kept=self._rules.book.digest)  # noqa: TRY400
        else:
            self._rules.replace(book)
            log.info("rules.reloaded", hash=book.digest)
