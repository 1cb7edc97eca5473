"""Trace contexts go from raw messages to alerts, and spans to whoever takes them; neither unless wanted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.harness import Deployment, Raw
from tests.e2e.marked import marked_events

TRACES = [b"00-%032x-%016x-01" % (number, number) for number in range(1, 9)]


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    endpoint: str
    spans: list[Span]


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    spans: list[Span] = []

    async def take(request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        scopes = (scope for resource in sent.resource_spans for scope in resource.scope_spans)
        spans.extend(span for scope in scopes for span in scope.spans)
        return web.Response(content_type="application/x-protobuf")

    pages = web.Application()
    pages.add_routes([web.post("/v1/traces", take)])
    runner = web.AppRunner(pages)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Collector(f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces", spans)
    await runner.cleanup()


def raw() -> list[Raw]:
    """Give each event a trace of its own, and a state of it that may say anything."""
    state = ("tracestate", b"vendor=Jane Doe")
    values = marked_events().values
    return [
        Raw(value, 0, headers=[("traceparent", trace), state])
        for value, trace in zip(values, TRACES, strict=True)
    ]


async def traces_of(deployment: Deployment, *topics: str) -> list[list[bytes]]:
    """Return the trace headers of each message in some topics."""
    found = []
    for name in topics:
        for message in await deployment.read(getattr(deployment.topology, name)):
            assert "tracestate" not in dict(message.headers)
            found.append([value for key, value in message.headers if key == "traceparent"])
    return found


def linked(spans: Sequence[Span], name: str) -> set[bytes]:
    """Return the trace ids that spans of a name link to."""
    return {link.trace_id for span in spans if span.name == name for link in span.links}


async def test_traces_go_from_raw_messages_to_alerts(deployment: Deployment, collector: Collector) -> None:
    await deployment.create_topics()
    worker = await deployment.worker(tracing_endpoint=collector.endpoint).until_ready()
    await deployment.produce(raw())
    await deployment.until_done()
    assert await worker.terminate() == 0

    topology = deployment.topology
    assert sorted(await traces_of(deployment, "records")) == [[trace] for trace in TRACES]
    told = await traces_of(deployment, "alerts", "staff_alerts", "course_drops")
    assert told
    assert all(len(traces) == 1 and traces[0] in TRACES for traces in told)
    assert all(traces == [] for traces in await traces_of(deployment, "snapshots", "scores_changelog"))

    ids = {bytes.fromhex(trace.split(b"-")[1].decode()) for trace in TRACES}
    for topic in (topology.raw, topology.records):
        assert linked(collector.spans, f"process {topic.name}") == ids
    assert {"flush", "flush outlet", "flush changelog", "flush store", "flush commit"} <= {
        span.name for span in collector.spans
    }


async def test_without_an_endpoint_nothing_is_handed_on(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker().until_ready()
    await deployment.produce(raw())
    await deployment.until_done()
    assert await worker.terminate() == 0
    assert all(
        traces == []
        for traces in await traces_of(deployment, "records", "alerts", "staff_alerts", "course_drops")
    )


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://"])
def test_an_endpoint_that_is_no_address_is_refused(deployment: Deployment, endpoint: str) -> None:
    done = deployment.run("config", "check", tracing_endpoint=endpoint)
    assert done.returncode == 2
    assert "GRADEWATCH_TRACING_ENDPOINT" in done.stderr
    assert "must be an address that begins with http:// or https://" in done.stderr


async def test_an_endpoint_that_does_not_answer_hinders_nothing(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = await deployment.worker(tracing_endpoint="http://127.0.0.1:9/v1/traces").until_ready()
    await deployment.produce(raw())
    await deployment.until_done()
    assert await asyncio.wait_for(worker.terminate(), 30) == 0
