"""What scenarios stand on: brokers, deployments, and workers that fail at a chosen moment."""

import asyncio
import itertools
import resource
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tests.clients import admin_client
from tests.e2e.events import by_student, semester
from tests.e2e.harness import Deployment, Raw, Worker, until
from tests.faults.outcome import Outcome
from tests.kafka import KafkaBroker

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
PIECES_PER_SECOND: Final = 5
EVENTS_PER_SEMESTER: Final = 5_000


class Stage:
    """Where one scenario is played; it has a folder of its own.

    Attributes:
        kafka: the broker that all scenarios share; leave it running.
        quick: whether the bounded form is wanted, of some ten seconds.
    """

    def __init__(
        self, folder: Path, kafka: KafkaBroker, *, quick: bool, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self.kafka = kafka
        self.quick = quick
        self._say = say

    def say(self, what: str) -> None:
        """Show where the scenario is, in a few words."""
        self._say(what)

    @asynccontextmanager
    async def deployment(
        self, bootstrap: str | None = None, *, topics: bool = True
    ) -> AsyncIterator[Deployment]:
        """Give a deployment with topics of its own; at the end its workers are gone."""
        name = uuid.uuid4().hex[:12]
        folder = self.folder / name
        folder.mkdir()
        deployment = Deployment(
            bootstrap or self.kafka.bootstrap, f"fault-{name}.", f"gradewatch-fault-{name}", folder
        )
        try:
            if topics:
                await deployment.create_topics()
            yield deployment
        finally:
            deployment.close()

    @contextmanager
    def own_kafka(self, **options: Any) -> Iterator[KafkaBroker]:
        """Give a broker of the scenario's own, to stop, kill and configure (KafkaBroker's options)."""
        with KafkaBroker(self.folder / f"kafka-{uuid.uuid4().hex[:8]}", **options) as broker:
            yield broker


def failing_worker(
    deployment: Deployment, point: str, deed: str, *, turn: int = 1, name: str = "worker", **settings: str
) -> Worker:
    """Start a worker to which something happens the `turn`-th time it comes to a point.

    The launcher lists the points and the deeds.
    """
    return deployment.worker(
        name, command=[sys.executable, LAUNCHER, point, deed, str(turn), "worker"], **settings
    )


async def until_suspended(worker: Worker) -> None:
    """Wait until a worker's process stands still by SIGSTOP."""

    def is_suspended() -> bool:
        assert worker.exit_code is None, f"ended with {worker.exit_code} before it was suspended"
        stat = Path(f"/proc/{worker.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    await until("the worker is suspended", is_suspended)


@asynccontextmanager
async def feeding(
    deployment: Deployment, *, seed: int, per_second: int = 300, events: int = EVENTS_PER_SEMESTER
) -> AsyncIterator[None]:
    """Write raw events for as long as the block lasts, each student's on one partition in order.

    One semester of so many events after the other, each with a school and students of its own.
    """
    enough = asyncio.Event()

    async def feed() -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count(seed, 1_000):
            messages = await asyncio.to_thread(_semester, number, events)
            step = max(1, per_second // PIECES_PER_SECOND)
            for start in range(0, len(messages), step):
                began = loop.time()
                await _written(deployment, messages[start : start + step])
                await asyncio.sleep(began + 1 / PIECES_PER_SECOND - loop.time())
                if enough.is_set():
                    return

    task = asyncio.create_task(feed())
    try:
        yield
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    # Not cancelled: what it writes at this moment is written whole.
    enough.set()
    await task


def _semester(number: int, events: int) -> list[Raw]:
    return list(by_student(semester(number, events), number))


async def _written(deployment: Deployment, messages: Sequence[Raw]) -> None:
    """Write messages, all again where the broker went away in between."""
    while True:
        try:
            await asyncio.wait_for(deployment.produce(messages), 30)
        except (KafkaError, TimeoutError):
            await asyncio.sleep(0.5)
        else:
            return


async def configure(deployment: Deployment, topic: str, config: dict[str, str]) -> None:
    """Give a topic these settings of its own and no others."""
    async with admin_client(deployment.bootstrap) as admin:
        answers = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])
    for answer in answers:
        for code, message, *_ in answer.resources:
            assert code == 0, message


def resident_mib(worker: Worker) -> float:
    """Return how much memory a worker's process has."""
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


async def finish(deployment: Deployment, worker: Worker, seconds: float = 180.0) -> None:
    """Let a worker do what is left, and stop it as an operator does."""
    await deployment.until_done(seconds)
    code = await worker.terminate()
    assert code == 0, f"the last worker ended with {code}"


async def play(run: Callable[[Stage], Any], stage: Stage) -> Outcome:
    """Run a scenario; what it raises becomes its failure."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        outcome: Outcome = await run(stage)
    except Exception as error:
        outcome = Outcome(failure=f"{type(error).__name__}: {error}")
    outcome.seconds = loop.time() - began
    return outcome
