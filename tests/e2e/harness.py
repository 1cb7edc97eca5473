"""What an end-to-end test does from the outside: a deployment's topics, real worker processes, raw messages.

Nothing here knows what should come out; that is the oracle's part.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from agents.topology import MAX_MESSAGE_BYTES, TopicSpec, Topology
from app.children import start_child
from tests.clients import admin_client, consume, create_topic

#: The command as it is installed beside this Python.
GRADEWATCH = Path(sys.executable).with_name("gradewatch")

RAW_PARTITIONS = 3
PARTITIONS = 4

#: Long enough for two busy cores; nothing waits so long unless something is wrong.
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.05
BATCH_BYTES = 256 * 1024


class Raw(NamedTuple):
    """A message for the raw topic."""

    value: bytes | None
    partition: int
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


async def until(what: str, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until something holds; fail with its name when it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)


class Worker:
    """One `gradewatch worker` process, or what stands for it, and what it logs."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        command: Sequence[str | Path] = (GRADEWATCH, "worker"),
    ) -> None:
        self.log_path = log
        self._process = start_child(command, log=log, cwd=log.parent, env=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        return self.log_path.read_text(errors="replace")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        lines = (line for line in self.output.splitlines() if line.startswith("{") and line.endswith("}"))
        return [entry for entry in map(json.loads, lines) if entry.get("event") == event]

    async def until_logged(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for an event's line in the log and return it; fail when the worker ends before."""

        def holds() -> bool:
            seen = len(self.logged(event)) >= times
            assert seen or self.exit_code is None, f"ended with {self.exit_code} before {event}"
            return seen

        await until(event, holds)
        return self.logged(event)[times - 1]

    async def until_ready(self) -> Self:
        await self.until_logged("worker.ready")
        return self

    async def until_ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end of the process and return its exit status."""
        await until("the worker's end", lambda: self.exit_code is not None, seconds)
        return self._process.wait()

    async def terminate(self) -> int:
        """Stop it as an operator does and return its exit status."""
        self.signal(signal.SIGTERM)
        return await self.until_ended()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash does; everything that it had not written is lost."""
        self._process.kill()
        await self.until_ended()

    def close(self) -> None:
        """End it whatever it does, and show what it said: pytest prints that when the test failed."""
        if self.exit_code is None:
            self._process.kill()
            self._process.wait()
        print(f"--- {self.log_path.name} (exit status {self.exit_code})\n{self.output}")  # noqa: T201

    async def get(self, page: str) -> tuple[int, str]:
        """Fetch a page of its HTTP server: status and text."""
        port = (await self.until_logged("web.listening"))["port"]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{page}") as answer,
        ):
            return answer.status, await answer.text()

    async def outcomes(self) -> Counter[str]:
        """Return how many events it has read, by outcome."""
        outcomes: Counter[str] = Counter()
        for name, labels, value in await self.samples():
            if name == "gradewatch_events_total":
                outcomes[labels["outcome"]] += int(value)
        return +outcomes  # without those that have not come up

    async def samples(self) -> list[tuple[str, dict[str, str], float]]:
        """Return every sample of its metrics: name, labels, value."""
        status, text = await self.get("/metrics")
        assert status == 200
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]


class Deployment:
    """The topics, state folders and workers of one test."""

    def __init__(self, bootstrap: str, prefix: str, app_id: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.app_id = app_id
        self.topology = Topology.build(prefix, app_id, PARTITIONS)
        self.folder = folder
        self.workers: list[Worker] = []
        self._settings = {
            "GRADEWATCH_BROKERS": bootstrap,
            "GRADEWATCH_TOPIC_PREFIX": prefix,
            "GRADEWATCH_APP_ID": app_id,
            "GRADEWATCH_PARTITIONS": str(PARTITIONS),
            "GRADEWATCH_WEB_PORT": "0",
            "GRADEWATCH_LOG_FORMAT": "json",
            "GRADEWATCH_COMMIT_INTERVAL_SECONDS": "0.2",
            "GRADEWATCH_SESSION_TIMEOUT_SECONDS": "6",
        }

    def environment(self, name: str = "worker", **settings: str) -> dict[str, str]:
        """Return a process's environment: nothing of Gradewatch's but what is said here, upper-cased."""
        outside = {key: value for key, value in os.environ.items() if not key.startswith("GRADEWATCH_")}
        said = {f"GRADEWATCH_{key.upper()}": value for key, value in settings.items()}
        return {**outside, **self._settings, "GRADEWATCH_DATA_DIR": str(self.data_dir(name)), **said}

    def data_dir(self, name: str) -> Path:
        return self.folder / f"{name}-data"

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Gradewatch to its end."""
        return subprocess.run(
            [GRADEWATCH, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment(**settings),
            timeout=PATIENCE_SECONDS,
        )

    async def create_topics(self) -> None:
        """Create all topics: the raw one first, with another number of partitions than the others have."""
        await create_topic(
            self.bootstrap,
            self.topology.raw.name,
            partitions=RAW_PARTITIONS,
            config={"max.message.bytes": str(MAX_MESSAGE_BYTES)},
        )
        done = await asyncio.to_thread(self.run, "topics", "create")
        assert done.returncode == 0, done.stdout + done.stderr

    async def create_topics_but(self, names: Collection[str]) -> None:
        """Create all topics but some, as somebody does who doesn't ask Gradewatch."""
        for spec in self.topology.all:
            if spec.name not in names:
                await create_topic(self.bootstrap, spec.name, spec.partitions, spec.config())

    def worker(
        self, name: str = "worker", command: Sequence[str | Path] = (GRADEWATCH, "worker"), **settings: str
    ) -> Worker:
        """Start a worker whose state folder goes by `name`; settings without their prefix."""
        log = self.folder / f"{len(self.workers)}-{name}.log"
        worker = Worker(self.environment(name, **settings), log, command)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    async def produce(self, messages: Iterable[Raw], *, compression: str | None = None) -> None:
        """Write raw messages, each to its partition, and wait until all are acknowledged."""
        await self.write(self.topology.raw, messages, compression=compression)

    async def write(
        self, topic: TopicSpec, messages: Iterable[Raw], *, compression: str | None = None
    ) -> None:
        """Write messages to any topic."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
        )
        try:
            await producer.start()
            # By hand: `send` places no message without key and value, and makes a future for each.
            filling: dict[int, Any] = {}
            deliveries = []
            for message in messages:
                for _ in range(2):
                    batch = filling.get(message.partition)
                    if batch is None:
                        batch = filling[message.partition] = producer.create_batch()
                    fields = (message.key, message.value, list(message.headers))
                    if batch.append(timestamp=None, key=fields[0], value=fields[1], headers=fields[2]):
                        break
                    sent = await producer.send_batch(batch, topic.name, partition=message.partition)
                    deliveries.append(sent)
                    del filling[message.partition]
            for partition, batch in filling.items():
                deliveries.append(await producer.send_batch(batch, topic.name, partition=partition))
            for delivery in deliveries:
                await delivery
        finally:
            await producer.stop()  # also one that could not connect

    async def feed(self, messages: Sequence[Raw], *, per_second: int) -> None:
        """Write raw messages at a rate, so that a stream is under way while other things happen."""
        slices = 20
        step = max(1, per_second // slices)
        began = time.monotonic()
        for number, start in enumerate(range(0, len(messages), step)):
            await self.produce(messages[start : start + step])
            await asyncio.sleep(began + (number + 1) / slices - time.monotonic())

    async def read(self, topic: TopicSpec) -> list[ConsumerRecord]:
        """Read all of a topic, by partition in the order of offsets."""
        return await consume(self.bootstrap, topic.name)

    async def ends(self, topic: TopicSpec) -> dict[TopicPartition, int]:
        """Return the offset after the last message of each partition."""
        partitions = [TopicPartition(topic.name, n) for n in range(await self._partitions(topic))]
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends

    async def committed(self) -> dict[TopicPartition, int]:
        """Return the group's committed offsets."""
        async with admin_client(self.bootstrap) as admin:
            offsets = await admin.list_consumer_group_offsets(self.app_id)
        return {partition: offset.offset for partition, offset in offsets.items()}

    async def until_done(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the group has committed all raw events, then all records and drops made of them."""
        for topic in (self.topology.raw, self.topology.records, self.topology.course_drops):
            # Once one topic is committed the next grows no more.
            ends = {partition: end for partition, end in (await self.ends(topic)).items() if end}
            deadline = time.monotonic() + seconds
            while True:
                committed = await self.committed()
                left = {p: end - committed.get(p, 0) for p, end in ends.items() if committed.get(p, 0) < end}
                if not left:
                    break
                running = [worker for worker in self.workers if worker.exit_code is None]
                assert running, f"no worker runs, and of {topic.name} is left {left}"
                assert time.monotonic() < deadline, f"not within {seconds:g} s: {topic.name}, left {left}"
                await asyncio.sleep(LOOK_SECONDS)

    async def _partitions(self, topic: TopicSpec) -> int:
        return RAW_PARTITIONS if topic is self.topology.raw else topic.partitions
