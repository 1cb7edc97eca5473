"""The worker's HTTP server: `/healthz`, `/readyz`, `/metrics`, and nothing else.

The three show counts and states, never a student, so probes and Prometheus need no token for them; any page
that is added needs one. Each connection is one short request. Faust's own web server, which would serve
whole tables, stays off.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Mapping
from typing import Final, Protocol

from aiohttp import web, web_response
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from app.access import MAX_CONNECTIONS, Door, Tokens
from app.errors import GradewatchError

PUBLIC: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Pages that need no token."""
METRICS_STAY_SECONDS: Final = 0.02
"""Writing them takes milliseconds from the agents, so whoever asks again at once gets the same."""
SHUTDOWN_SECONDS: Final = 1.0
"""How long a stop waits for answers that are on their way."""


class WorkerStatus(Protocol):
    """What the pages ask the worker; each answer is given at once."""

    def missing(self) -> Mapping[str, object]:
        """Return what still keeps the worker from being ready, by name; empty once it is ready."""

    def stalled(self) -> str | None:
        """Return why the worker makes no progress and should be restarted, or None."""


def guard(tokens: Tokens) -> Middleware:
    """Return what every request passes first: no bodies, and no page without a token but the public ones."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.body_exists:
            raise web.HTTPRequestEntityTooLarge(max_size=0, actual_size=request.content_length or 1)
        resource = request.match_info.route.resource  # None: there is no such page
        is_open = resource is None or resource.canonical in PUBLIC
        if not is_open and not tokens.open_for(request.headers.get("Authorization")):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return guarded


async def _one_request(_: web.Request, response: web.StreamResponse) -> None:
    response.force_close()
    response.headers["Connection"] = "close"  # too late for aiohttp to say it


def create_web(
    status: WorkerStatus, registry: CollectorRegistry, tokens: Tokens | None = None
) -> web.Application:
    """Return the pages over a worker's status and metrics."""
    written: dict[str, tuple[float, bytes]] = {}
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
        now = time.monotonic()
        written_at, text = written.get(content_type, (-math.inf, b""))
        if now - written_at >= METRICS_STAY_SECONDS:
            text = encode(registry)
            written[content_type] = (now, text)
        return web.Response(body=text, headers={"Content-Type": content_type})

    pages = web.Application(middlewares=[guard(tokens or Tokens())])
    pages.on_response_prepare.append(_one_request)
    pages.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return pages


def _json(document: Mapping[str, object], status: int) -> web.Response:
    return web.json_response(document, status=status, headers={"Cache-Control": "no-store"})


class WebServer:
    """Serves pages in the running event loop between `start()` and `stop()`."""

    def __init__(self, pages: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(
            pages,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            lingering_time=0.0,  # or a refused body would be read on for ten seconds
        )
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._inside: set[Door] = set()

    async def start(self) -> int:
        """Listen and return the port, which port 0 leaves to the system.

        Raises GradewatchError when the address cannot be used.
        """
        # aiohttp would tell its own and Python's version, in answers to what is no HTTP too.
        web_response.SERVER_SOFTWARE = "gradewatch"  # type: ignore[attr-defined]
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._door, self._host, self._port, backlog=MAX_CONNECTIONS
            )
        except OSError as error:
            await self._runner.cleanup()
            # asyncio's text says the address once more; name resolution has its own negative numbers.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise GradewatchError(
                f"The HTTP server cannot listen on {self._host} port {self._port}: {reason}. "
                "Set GRADEWATCH_WEB_HOST and GRADEWATCH_WEB_PORT to a free address (port 0 takes any)."
            ) from error
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _door(self) -> Door:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is set up before anybody connects")
        return Door(server(), self._inside)

    async def stop(self) -> None:
        """Stop listening; without effect when it was not started."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
