"""The worker's HTTP server: `/healthz`, `/readyz`, `/metrics`, and nothing else.

The three show counts and states, never a student, so probes and Prometheus need no token for them. Faust's
own web server, which would serve whole tables, stays off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from app.errors import GradewatchError

MAX_REQUEST_BYTES: Final = 1_024
"""No page reads a request's body."""
SHUTDOWN_SECONDS: Final = 1.0
"""How long a stop waits for answers that are on their way."""


class WorkerStatus(Protocol):
    """What the pages ask the worker; each answer is given at once."""

    def missing(self) -> Mapping[str, object]:
        """Return what still keeps the worker from being ready, by name; empty once it is ready."""

    def stalled(self) -> str | None:
        """Return why the worker makes no progress and should be restarted, or None."""


def create_web(status: WorkerStatus, registry: CollectorRegistry) -> web.Application:
    """Return the pages over a worker's status and metrics."""
    # Each would double the number of series, for Prometheus's text format has no better place for them.
    disable_created_metrics()  # type: ignore[no-untyped-call]

    async def healthz(_: web.Request) -> web.Response:
        reason = status.stalled()
        if reason is not None:
            return _json({"alive": False, "reason": reason}, 503)
        return _json({"alive": True}, 200)

    async def readyz(_: web.Request) -> web.Response:
        missing = status.missing()
        if missing:
            return _json({"ready": False, "missing": dict(missing)}, 503)
        return _json({"ready": True}, 200)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    pages = web.Application(client_max_size=MAX_REQUEST_BYTES)
    pages.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return pages


def _json(document: Mapping[str, object], status: int) -> web.Response:
    return web.json_response(document, status=status, headers={"Cache-Control": "no-store"})


class WebServer:
    """Serves pages in the running event loop between `start()` and `stop()`."""

    def __init__(self, pages: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(
            pages, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listen and return the port, which port 0 leaves to the system.

        Raises GradewatchError when the address cannot be used.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            # asyncio's text says the address once more; name resolution has its own negative numbers.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise GradewatchError(
                f"The HTTP server cannot listen on {self._host} port {self._port}: {reason}. "
                "Set GRADEWATCH_WEB_HOST and GRADEWATCH_WEB_PORT to a free address (port 0 takes any)."
            ) from error
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Stop listening; without effect when it was not started."""
        await self._runner.cleanup()
