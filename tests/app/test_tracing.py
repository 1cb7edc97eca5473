from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from faust.types import TP
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from agents.trails import Trail
from app.errors import SettingsError
from app.settings import Settings
from app.tracing import TracingObserver, tracer_provider
from app.worker import Worker
from engine.chunks import Chunk, Span
from engine.unpacking import Batch
from tests.agents.fakes import Message
from tests.agents.test_trails import traced
from tests.engine.fakes import FakeObserver

RAW = TP("raw-events", 3)


class Traced:
    """An observer whose spans are kept in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.trail = Trail()
        self.inner = FakeObserver()
        self.observer = TracingObserver(self.inner, provider.get_tracer("test"), {"router": self.trail}, "gw")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


def chunk(*tps: TP) -> Chunk:
    made = Chunk({tp: [Batch.of([Message(b"")])] for tp in tps}, tuple(Span(tp, None, 1) for tp in tps), 0)
    list(made.pieces())
    return made


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_chunk_is_a_span_with_links_to_the_traces_of_its_messages() -> None:
    traces = Traced()
    for number in (1, 2):
        traces.trail.follow(traced(number))
    before = time.time_ns()
    traces.observer.chunk("router", chunk(RAW), 0.25)
    span = traces.spans["process raw-events"]
    assert span.kind is SpanKind.CONSUMER
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "raw-events",
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "gw",
        "messaging.batch.message_count": 1,
        "gradewatch.agent": "router",
    }
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [(2, 2), (3, 3)]
    assert all(link.context.is_remote and link.context.trace_flags.sampled for link in span.links)
    assert abs(seconds(span) - 0.25) < 0.001
    assert span.end_time is not None
    assert span.end_time >= before
    assert traces.inner.chunks == [("router", 1)]


def test_a_chunk_of_several_partitions_names_none() -> None:
    traces = Traced()
    traces.observer.chunk("router", chunk(RAW, TP("raw-events", 4)), 0.1)
    attributes: Any = traces.spans["process raw-events"].attributes
    assert "messaging.destination.partition.id" not in attributes
    assert attributes["messaging.batch.message_count"] == 2


def test_a_flush_is_a_span_above_those_of_its_steps() -> None:
    traces = Traced()
    traces.observer.flush_step("outlet", 5.0)  # of a flush that failed then
    for step in ("outlet", "changelog", "store", "commit"):
        traces.observer.flush_step(step, 0.1)
    traces.observer.flushed_keys(7)
    traces.observer.committed()
    flush = traces.spans["flush"]
    assert flush.attributes == {"gradewatch.keys": 7}
    assert 0.05 < seconds(flush) < 0.15
    steps = {f"flush {step}" for step in ("outlet", "changelog", "store", "commit")}
    assert traces.spans.keys() == steps | {"flush"}
    for name in steps:
        parent = traces.spans[name].parent
        assert parent is not None
        assert flush.context is not None
        assert parent.span_id == flush.context.span_id
    assert traces.inner.commits == 1


def test_a_share_of_the_spans_is_kept() -> None:
    settings = Settings(tracing_endpoint="http://127.0.0.1:9/v1/traces", tracing_sample_ratio=0.0)
    provider = tracer_provider(settings, "1.2.3")
    try:
        assert not provider.get_tracer("test").start_span("dropped").is_recording()
        assert provider.resource.attributes["service.name"] == "gradewatch"
        assert provider.resource.attributes["service.version"] == "1.2.3"
    finally:
        provider.shutdown()


def test_without_the_extra_a_worker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "app.tracing", None)
    worker = Worker(Settings(tracing_endpoint="http://127.0.0.1:9/v1/traces"))
    with pytest.raises(SettingsError, match=r"pip install 'gradewatch\[tracing\]'"):
        worker.observer()
