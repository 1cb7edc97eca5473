"""The demo's worker: a child process with settings of its own, watched through its pages."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import aiohttp

from app.children import LOOPBACK, log_tail, start_child, stop_child
from app.demo.figures import Scrape
from app.demo.folder import DemoFolder
from app.errors import GradewatchError
from app.settings import PREFIX, Settings, env_name

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

READY_TIMEOUT_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
"""How long the worker may take to end before it is killed."""
ANSWER_TIMEOUT_SECONDS: Final = 10.0
"""How long one of its pages may take."""
CHECK_SECONDS: Final = 0.5
"""How often a worker that is left alone is looked after."""


class DemoSettings(Settings):
    """Settings of the demo's own: what the environment says is about another cluster, perhaps a real one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the hook's arguments go by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments alone."""
        return (init_settings,)

    def environment(self) -> dict[str, str]:
        """Return an environment in which another process has these settings and no others of ours."""
        others = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        return others | {env_name(name): str(getattr(self, name)) for name in self.model_fields_set}


class WorkerProcess:
    """`gradewatch worker` as a child."""

    def __init__(self, settings: DemoSettings, folder: DemoFolder, http: aiohttp.ClientSession) -> None:
        self._log = folder.worker_log
        self._http = http
        self._url = f"http://{LOOPBACK}:{settings.web_port}"
        self._process = start_child(
            # -P: a folder called `app` in which somebody runs the demo is not ours.
            [sys.executable, "-P", "-m", "app.main", "worker"],
            log=self._log,
            cwd=folder.path,
            env=settings.environment(),
        )

    def check(self) -> None:
        """Raise GradewatchError when the worker has ended."""
        status = self._process.poll()
        if status is not None:
            raise self.failure(f"ended by itself, with status {status}")

    def failure(self, what: str) -> GradewatchError:
        """Return an error about the worker that quotes the end of its log."""
        return GradewatchError(f"The worker {what}. Its log {self._log} ends:\n{log_tail(self._log)}")

    async def wait_until_ready(self) -> None:
        """Return when the worker is assigned and recovered."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not await self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {READY_TIMEOUT_SECONDS:g} s")
            await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        try:
            async with self._http.get(f"{self._url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:  # its server is not up yet
            return False

    async def wait_for_ctrl_c(self) -> None:
        """Wait until Ctrl-C; raises GradewatchError when the worker ends before."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, stop.set)
        try:
            while not stop.is_set():
                self.check()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), CHECK_SECONDS)
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def scrape(self) -> Scrape:
        """Read its metrics."""
        async with self._http.get(f"{self._url}/metrics") as answer:
            answer.raise_for_status()
            return Scrape(await answer.text())

    def stop(self) -> int:
        """End it as an operator would, and return its exit status."""
        return stop_child(self._process, grace_seconds=STOP_SECONDS)


@asynccontextmanager
async def worker_process(settings: DemoSettings, folder: DemoFolder) -> AsyncIterator[WorkerProcess]:
    """Run a worker; raises GradewatchError when it does not end well at the end of the block."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        worker = WorkerProcess(settings, folder, http)
        try:
            yield worker
            worker.check()
        except BaseException:
            worker.stop()
            raise
        status = worker.stop()
        if status != 0:
            raise worker.failure(f"ended with status {status} when it was told to stop")
