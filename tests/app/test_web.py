from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from app import access
from app import web as web_module
from app.access import Tokens
from app.errors import GradewatchError
from app.web import WebServer, create_web

LOOPBACK = "127.0.0.1"


@dataclass
class FakeStatus:
    still_missing: dict[str, object] = field(default_factory=dict)
    stall: str | None = None

    def missing(self) -> Mapping[str, object]:
        return self.still_missing

    def stalled(self) -> str | None:
        return self.stall


@dataclass
class Page:
    status: int
    content_type: str
    text: str


@dataclass
class Site:
    worker: FakeStatus
    registry: CollectorRegistry
    address: str

    async def get(self, path: str, **headers: str) -> Page:
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(self.address + path) as answer,
        ):
            return Page(answer.status, answer.headers.get("Content-Type", ""), await answer.text())


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    worker, registry = FakeStatus(), CollectorRegistry()
    server = WebServer(create_web(worker, registry), LOOPBACK, 0)
    port = await server.start()
    yield Site(worker, registry, f"http://{LOOPBACK}:{port}")
    await server.stop()


async def test_readyz_tells_what_is_missing_until_nothing_is(site: Site) -> None:
    site.worker.still_missing = {"recovery": 120}
    page = await site.get("/readyz")
    assert page.status == 503
    assert page.text == '{"ready": false, "missing": {"recovery": 120}}'
    site.worker.still_missing = {}
    page = await site.get("/readyz")
    assert (page.status, page.text) == (200, '{"ready": true}')


async def test_healthz_fails_when_the_worker_is_stalled(site: Site) -> None:
    page = await site.get("/healthz")
    assert (page.status, page.text) == (200, '{"alive": true}')
    site.worker.stall = "no commit for 90 s"
    page = await site.get("/healthz")
    assert (page.status, page.text) == (503, '{"alive": false, "reason": "no commit for 90 s"}')


async def test_metrics_are_what_the_registry_holds(site: Site) -> None:
    Counter("gradewatch_things", "Things.", registry=site.registry).inc(3)
    page = await site.get("/metrics")
    assert page.status == 200
    assert page.content_type.startswith("text/plain")
    assert "gradewatch_things_total 3.0" in page.text
    assert "_created" not in page.text


async def test_metrics_speak_openmetrics_when_asked(site: Site) -> None:
    page = await site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert page.content_type.startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/table",
        "/table/student_scores",
        "/router",
        "/router/x/0",
        "/graph",
        "/stats",
        "/assignment",
        "/performance/",
        "/metrics/",
        "/healthz/x",
        "/v1",
    ],
)
async def test_there_is_no_other_page(site: Site, path: str) -> None:
    assert (await site.get(path)).status == 404


async def test_pages_are_read_only(site: Site) -> None:
    async with aiohttp.ClientSession() as client, client.post(f"{site.address}/healthz") as answer:
        assert answer.status == 405


async def test_a_taken_port_is_explained() -> None:
    first = WebServer(create_web(FakeStatus(), CollectorRegistry()), LOOPBACK, 0)
    port = await first.start()
    second = WebServer(create_web(FakeStatus(), CollectorRegistry()), LOOPBACK, port)
    try:
        with pytest.raises(GradewatchError, match=rf"cannot listen on 127.0.0.1 port {port}: .*WEB_PORT"):
            await second.start()
    finally:
        await second.stop()
        await first.stop()


async def test_nobody_listens_after_stop() -> None:
    server = WebServer(create_web(FakeStatus(), CollectorRegistry()), LOOPBACK, 0)
    port = await server.start()
    await server.stop()
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(f"http://{LOOPBACK}:{port}/healthz")


async def raw_request(site: Site, *parts: bytes, pause_seconds: float = 0.0) -> bytes:
    """Send bytes as they are and return what comes back until the connection ends."""
    host, port = site.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_seconds)
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("page", ["/healthz", "/readyz", "/metrics"])
async def test_pages_take_no_other_method(site: Site, method: str, page: str) -> None:
    async with aiohttp.ClientSession() as client, client.request(method, site.address + page) as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    "request_line", ["GET /healthz", "GET /nowhere", "POST /healthz", "no HTTP at all", "GET /\x00"]
)
async def test_no_answer_tells_what_software_this_is(site: Site, request_line: str) -> None:
    answer = await raw_request(site, f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b"Server: gradewatch\r\n" in answer
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()


async def test_a_connection_is_one_request(site: Site) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await raw_request(site, request + request)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize("size", [1, 10_000_000])
async def test_a_body_is_refused_without_being_read(site: Site, size: int) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    answer = await raw_request(site, head + b"x")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 9000, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 9000])
async def test_a_long_line_is_refused(site: Site, head: bytes) -> None:
    answer = await raw_request(site, head + b" HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ") or answer.startswith(b"HTTP/1.1 400 ")


async def test_headers_without_end_are_cut_off(site: Site) -> None:
    header = b"X-Header: " + b"x" * 1000 + b"\r\n"
    answer = await raw_request(site, b"GET /healthz HTTP/1.1\r\n", *[header] * 20, pause_seconds=0.001)
    assert answer == b""


async def test_a_slow_client_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "CONNECTION_SECONDS", 0.2)
    assert await raw_request(site, b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n", pause_seconds=0.5) == b""
    assert await raw_request(site) == b""  # says nothing at all


async def test_connections_beyond_the_limit_are_closed_and_make_room_when_they_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MAX_CONNECTIONS", 2)
    host, port = site.address.removeprefix("http://").split(":")
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await raw_request(site, request) == b""
    idle[0][1].close()
    await asyncio.sleep(0.05)
    assert b"200 OK" in await raw_request(site, request)
    idle[1][1].close()


async def test_metrics_are_written_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    things = Counter("gradewatch_things", "Things.", registry=site.registry)
    monkeypatch.setattr(web_module, "METRICS_STAY_SECONDS", 3600.0)
    for expected in ("0.0", "0.0"):
        assert f"gradewatch_things_total {expected}" in (await site.get("/metrics")).text
        things.inc()
    monkeypatch.setattr(web_module, "METRICS_STAY_SECONDS", 0.0)
    assert "gradewatch_things_total 2.0" in (await site.get("/metrics")).text


@pytest.fixture
def guarded() -> web.Application:
    """Give the pages and one more, which is not public."""

    async def student(_: web.Request) -> web.Response:
        return web.Response(text="grades")

    tokens = Tokens([SecretStr("t0k3n"), None, SecretStr("stäff")])
    pages = create_web(FakeStatus(), CollectorRegistry(), tokens)
    pages.add_routes([web.get("/v1/student", student)])
    return pages


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("t0k3n", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer t0k3", 401),
        ("Bearer t0k3nn", 401),
        ("Basic t0k3n", 401),
        ("Bearer t0k3n", 200),
        ("bearer t0k3n", 200),
        ("Bearer stäff", 200),
    ],
)
async def test_any_other_page_needs_a_token(
    guarded: web.Application, authorization: str | None, status: int
) -> None:
    server = WebServer(guarded, LOOPBACK, 0)
    port = await server.start()
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(f"http://{LOOPBACK}:{port}/v1/student") as answer,
        ):
            assert answer.status == status
    finally:
        await server.stop()


def test_without_tokens_nobody_comes_in() -> None:
    for authorization in (None, "", "Bearer", "Bearer ", "Bearer None"):
        assert not Tokens([None, None]).open_for(authorization)
