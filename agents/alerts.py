"""The way out for alerts: each to the topic of its audience, counted once the broker has it."""

import asyncio
import re
import time

from agents.metrics import Metrics
from agents.router import Clock
from agents.topology import Topology
from agents.trails import Trace
from engine.chunks import Record
from engine.outlet import Outlet
from models.alerts import encode_alert
from models.headers import RAW_TIMESTAMP, alert_headers
from models.times import epoch_ms
from tables.cases import AlertDraft

_milliseconds = re.compile(rb"[0-9]{1,15}").fullmatch
"""Only who wrote the message can be sure that its header is right."""


def raw_timestamp_of(message: Record) -> int | None:
    """Return the Kafka timestamp of the raw message that led to a derived one, in milliseconds."""
    value = next((value for name, value in message.headers if name == RAW_TIMESTAMP), None)
    return int(value) if value is not None and _milliseconds(value) else None


class Alerts:
    """Sends alerts."""

    def __init__(self, topology: Topology, outlet: Outlet, metrics: Metrics, *, now: Clock) -> None:
        self._topics = {"student": topology.alerts.name, "staff": topology.staff_alerts.name}
        self._outlet = outlet
        self._metrics = metrics
        self._now = now

    def send(self, draft: AlertDraft, message: Record, rules: str, trace: Trace = ()) -> None:
        """Queue an alert that a message, of that trace, led to under the rules with this digest."""
        alert = draft.alert(self._now())
        sent = self._outlet.send(
            self._topics[alert.audience],
            alert.key,
            encode_alert(alert),
            [*alert_headers(alert, rules), *trace],
        )
        raw_timestamp = raw_timestamp_of(message)

        def count(delivery: "asyncio.Future[None]") -> None:
            if delivery.cancelled() or delivery.exception() is not None:
                return
            self._metrics.count_alert(
                alert.rule,
                alert.status,
                alert.severity,
                sent_ms=int(time.time() * 1000),
                event_time_ms=epoch_ms(alert.event_time),
                raw_timestamp_ms=raw_timestamp,
            )

        sent.add_done_callback(count)
