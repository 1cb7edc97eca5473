from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, Counter

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


@pytest.mark.parametrize("path", ["/", "/table/student_scores", "/router", "/metrics/", "/stats", "/v1"])
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
