"""Spans of the engine's work, sent with OpenTelemetry: one per chunk, and one per flush with its steps.

They follow OpenTelemetry's semantic conventions for messaging: a chunk is a batch, its span a consumer's with
links to the traces of its messages, of which there may be many. Made afterwards, from what the engine tells
its observer: nothing here runs per event. Needs the extra `gradewatch[tracing]`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer, set_span_in_context

if TYPE_CHECKING:
    from agents.trails import Trail
    from app.settings import Settings
    from engine.chunks import Chunk, Observer

EXPORT_TIMEOUT_SECONDS: Final = 5.0
"""How long one export may take, the last one at a stop included."""
_NS: Final = 1_000_000_000


def tracer_provider(settings: Settings, version: str) -> TracerProvider:
    """Return what makes spans and sends them to GRADEWATCH_TRACING_ENDPOINT; `shutdown` sends the last."""
    resource = Resource.create({"service.name": settings.app_id, "service.version": version})
    provider = TracerProvider(
        TraceIdRatioBased(settings.tracing_sample_ratio), resource, shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(settings.tracing_endpoint, timeout=EXPORT_TIMEOUT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class TracingObserver:
    """Makes spans of what the engine tells, and passes it on."""

    def __init__(self, inner: Observer, tracer: Tracer, trails: Mapping[str, Trail], group: str) -> None:
        self._inner = inner
        self._tracer = tracer
        self._trails = trails
        self._group = group
        self._steps: list[tuple[str, int, int]] = []

    def chunk(self, agent: str, chunk: Chunk, seconds: float) -> None:
        """Make the span of a chunk that an agent has just finished."""
        self._inner.chunk(agent, chunk, seconds)
        ended = time.time_ns()
        topic = chunk.spans[0].tp.topic
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": self._group,
            "messaging.batch.message_count": chunk.unpacked,
            "gradewatch.agent": agent,
        }
        if len(chunk.spans) == 1:
            attributes["messaging.destination.partition.id"] = str(chunk.spans[0].tp.partition)
        self._tracer.start_span(
            f"process {topic}",
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[_link(traceparent) for traceparent in self._trails[agent].take()],
            start_time=ended - int(seconds * _NS),
        ).end(ended)

    def flush_step(self, step: str, seconds: float) -> None:
        """Remember a step of the flush under way."""
        self._inner.flush_step(step, seconds)
        if step == "outlet":  # the first: a flush that failed leaves steps behind
            self._steps.clear()
        ended = time.time_ns()
        self._steps.append((step, ended - int(seconds * _NS), ended))

    def flushed_keys(self, keys: int) -> None:
        """Make the span of the flush that has just ended, and below it those of its steps."""
        self._inner.flushed_keys(keys)
        if not self._steps:
            return
        flush = self._tracer.start_span(
            "flush", attributes={"gradewatch.keys": keys}, start_time=self._steps[0][1]
        )
        inside = set_span_in_context(flush)
        for step, started, ended in self._steps:
            self._tracer.start_span(f"flush {step}", context=inside, start_time=started).end(ended)
        flush.end(self._steps[-1][2])
        self._steps.clear()

    def committed(self) -> None:
        """Pass it on."""
        self._inner.committed()


def _link(traceparent: bytes) -> Link:
    _, trace_id, span_id, flags = traceparent.split(b"-")
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return Link(context)
