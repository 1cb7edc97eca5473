"""Milliseconds from a raw event's sending to its alert's arrival, at a steady rate.

One in ten events is a probe: scores that fall by 20 points and come back, so that each probe leads to an
alert. Raw events are sent one by one without waiting for more, alerts are read as they come; both happen in
this process, by one clock.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import results
from bench.cluster import Cluster
from bench.contenders.job import time_text
from bench.fill import School, by_student
from bench.launch import GRADEWATCH, KAFKA_STREAMS, QUIX, Contender
from bench.processes import ContenderError, Processes
from bench.session import Run, Session
from bench.stats import percentile

CONTENDERS = (GRADEWATCH, QUIX, KAFKA_STREAMS)
_PARTITIONS = 4
_PROBES = 1_000
_OTHERS = 9_000
_TICK_SECONDS = 0.005
_FIRST_ALERT_TIMEOUT_SECONDS = 90.0


async def run(session: Session, contenders: Sequence[Contender] = CONTENDERS) -> results.Latency:
    """Measure the latency of each contender."""
    found: dict[str, results.Percentiles] = {}
    for contender in contenders:
        measured = await of(session, contender)
        session.details.setdefault("latency", {})[contender.label] = measured
        found[contender.name] = results.Percentiles(p50=measured["p50"], p99=measured["p99"])
    return results.Latency(**found)


async def of(session: Session, contender: Contender) -> dict[str, Any]:
    """Measure one contender; returns percentiles in milliseconds and how many alerts they are over."""
    topic = f"paced-{time.monotonic_ns()}"
    async with Cluster(session.bootstrap) as cluster:
        await cluster.create(topic, _PARTITIONS)
    async with session.contender(contender, topic) as run:
        with run.processes() as processes:
            probe = Probe(session, run, topic)
            milliseconds = await probe.measure(processes, contender.label)
    if not milliseconds:
        raise ContenderError(f"{contender.label}: no alert came back")
    measured: dict[str, Any] = {
        "p50": percentile(milliseconds, 50),
        "p90": percentile(milliseconds, 90),
        "p99": percentile(milliseconds, 99),
        "max": max(milliseconds),
        "alerts": len(milliseconds),
        "events_per_second": session.sizes.latency_rate,
    }
    session.console.print(
        f"latency of {contender.label}: p50 {measured['p50']:.0f} ms, p99 {measured['p99']:.0f} ms "
        f"over {len(milliseconds):,} alerts"
    )
    return measured


class Probe:
    """Sends paced events and waits for the alerts of those that are probes."""

    def __init__(self, session: Session, run: Run, topic: str) -> None:
        self._session = session
        self._run = run
        self._topic = topic
        self._school = School(_PROBES + _OTHERS)
        self._place = by_student(_PARTITIONS)
        self._sent: dict[tuple[str, str, str], float] = {}
        self._milliseconds: list[float] = []
        self._first_alert = asyncio.Event()
        #: Only what is sent after this moment counts.
        self._counts_from = float("inf")

    async def measure(self, processes: Processes, label: str) -> list[float]:
        """Return the latency of every alert that was measured, in milliseconds."""
        sizes = self._session.sizes
        listening = asyncio.create_task(self._listen())
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait_for(self._first_alert.wait(), _FIRST_ALERT_TIMEOUT_SECONDS)
            await asyncio.sleep(sizes.latency_warm_up_seconds)
            self._counts_from = time.perf_counter()
            with self._session.bar(f"latency: {label}", int(sizes.latency_seconds)) as set_done:
                for second in range(int(sizes.latency_seconds)):
                    await asyncio.sleep(1.0)
                    processes.check()
                    set_done(second + 1)
                    for task in (listening, sending):
                        if task.done():
                            task.result()
        finally:
            sending.cancel()
            await asyncio.sleep(1.0)  # what is under way still counts
            listening.cancel()
        return self._milliseconds

    async def _send(self) -> None:
        rate = self._session.sizes.latency_rate
        async with AIOKafkaProducer(bootstrap_servers=self._run.cluster.bootstrap, acks="all") as producer:
            started = time.perf_counter()
            number = 0
            while True:
                due = int((time.perf_counter() - started) * rate)
                while number < due:
                    await self._send_one(producer, number)
                    number += 1
                await asyncio.sleep(_TICK_SECONDS)

    async def _send_one(self, producer: AIOKafkaProducer, number: int) -> None:
        at = time.time_ns() // 1_000_000
        is_probe = number % 10 == 0
        turn = number // 10
        if is_probe:
            pair, score = turn % _PROBES, 90.0 - 20.0 * (turn // _PROBES % 2)
        else:
            pair, score = _PROBES + number % _OTHERS, 85.0
        event = self._school.event(pair, at, score)
        grade = event.grade
        if is_probe and grade is not None:
            self._sent[grade.user_id, grade.course_id, time_text(at)] = time.perf_counter()
        await producer.send(self._topic, event.value, partition=self._place(grade), timestamp_ms=at)

    async def _listen(self) -> None:
        alerts = self._run.plan.alerts
        if alerts is None:
            raise ContenderError("sends no alerts")
        partitions = [TopicPartition(alerts, number) for number in range(_PARTITIONS)]
        async with AIOKafkaConsumer(
            bootstrap_servers=self._run.cluster.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        ) as consumer:
            consumer.assign(partitions)
            async for record in consumer:
                received = time.perf_counter()
                alert = orjson.loads(record.value)
                sent = self._sent.pop((alert["user_id"], alert["course_id"], alert["event_time"]), None)
                self._first_alert.set()
                if sent is not None and sent >= self._counts_from:
                    self._milliseconds.append((received - sent) * 1000)
