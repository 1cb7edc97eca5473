"""The demo's course: broker, topics, worker, a semester sent at a pace, until all of it is worked off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from app.children import free_ports
from app.demo.child import DemoSettings, WorkerProcess, worker_process
from app.demo.figures import Figures
from app.demo.folder import DemoFolder
from app.demo.watch import Watcher, watching
from app.embedded import EmbeddedBroker
from app.errors import TopicsError
from app.semester import Options, Semester
from app.semester.sinks import write_topic
from app.semester.tally import Tally
from app.settings import Settings
from app.topics import create_topics, explain
from models.alerts import Alert

BROKER_TIMEOUT_SECONDS: Final = 15.0
"""How long the broker, which runs on this machine, is tried."""
STALLED_SECONDS: Final = 60.0
"""With nothing more committed for so long, the demo gives up."""
LOOK_SECONDS: Final = 0.5
"""How often the worker's offsets are asked for once everything is sent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be shown."""

    semester: Semester
    events_per_second: float


def plan(*, students: int, seed: int, events_per_second: float) -> Plan:
    """Plan a semester with a bit of all that goes wrong on the way: repeats, delays, poison.

    Most of its events are about no grade, as in a school's own stream.
    """
    options = Options(
        seed=seed,
        students=students,
        other_share=0.8,
        duplicates=0.01,
        disorder_seconds=600,
        poison=0.003,
    )
    return Plan(Semester(options), events_per_second)


class Audience(Protocol):
    """Who is told what happens, as it happens."""

    def ready(self, settings: Settings, folder: DemoFolder, seconds: float) -> None:
        """Tell that broker and worker are up, and how long that took."""

    def progress(self, sent: Tally, *, all_sent: bool) -> None:
        """Tell how far the semester is; called several times a second."""

    def alerts(self, alerts: Sequence[Alert]) -> None:
        """Tell which alerts have come since the last call, often none."""

    def finished(self, figures: Figures, folder: DemoFolder) -> None:
        """Tell how it ended."""

    def staying(self, settings: Settings) -> None:
        """Tell that broker and worker go on until Ctrl-C."""


async def perform(plan: Plan, folder: DemoFolder, audience: Audience, *, stay: bool) -> Figures:
    """Run a demo in a fresh folder and return its figures, whether or not they add up.

    With `stay`, broker and worker go on after the end until Ctrl-C. Whatever happens, neither of them is
    running when it returns or raises. Raises GradewatchError when something does not go as it must.
    """
    started = time.monotonic()
    with EmbeddedBroker(folder.broker_data) as broker:
        settings = DemoSettings(
            brokers=broker.bootstrap,
            broker_timeout_seconds=BROKER_TIMEOUT_SECONDS,
            data_dir=folder.worker_data,
            web_port=free_ports(1)[0],
        )
        report = await create_topics(settings, BROKER_TIMEOUT_SECONDS)
        if report.failures:
            raise TopicsError(explain(report.failures))
        async with worker_process(settings, folder) as worker:
            await worker.wait_until_ready()
            audience.ready(settings, folder, time.monotonic() - started)
            async with watching(settings, folder, BROKER_TIMEOUT_SECONDS) as watcher:
                figures = await _play(plan, settings, worker, watcher, audience)
            audience.finished(figures, folder)
            if stay:
                audience.staying(settings)
                await worker.wait_for_ctrl_c()
    return figures


async def _play(
    plan: Plan, settings: Settings, worker: WorkerProcess, watcher: Watcher, audience: Audience
) -> Figures:
    topology = settings.topology()
    started = time.monotonic()
    sent = await _send(plan, settings, worker, watcher, audience)
    await _work_off(sent, worker, watcher, audience)
    seconds = time.monotonic() - started
    while not await watcher.has_all():
        audience.alerts(await watcher.look())
    return Figures(
        sent=sent.events,
        seconds=seconds,
        raw_messages=await watcher.messages(topology.raw.name),
        grade_records=await watcher.messages(topology.records.name),
        derived=watcher.derived,
        scrape=await worker.scrape(),
    )


async def _send(
    plan: Plan, settings: Settings, worker: WorkerProcess, watcher: Watcher, audience: Audience
) -> Tally:
    """Send the semester, and tell of the alerts that come of it meanwhile."""
    sent = Tally()

    def progress(so_far: Tally) -> None:
        nonlocal sent
        sent = so_far

    sending = asyncio.create_task(
        write_topic(
            plan.semester,
            settings,
            settings.topology().raw.name,
            "random",
            plan.events_per_second,
            progress,
            timeout_seconds=BROKER_TIMEOUT_SECONDS,
        )
    )
    try:
        while not sending.done():
            worker.check()
            audience.alerts(await watcher.look())
            audience.progress(sent, all_sent=False)
        return sending.result()
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def _work_off(sent: Tally, worker: WorkerProcess, watcher: Watcher, audience: Audience) -> None:
    """Wait until the worker has committed everything."""
    committed, moved = -1, time.monotonic()
    asked = 0.0
    while True:
        worker.check()
        audience.alerts(await watcher.look())
        audience.progress(sent, all_sent=True)
        now = time.monotonic()
        if now - asked < LOOK_SECONDS:
            continue
        asked = now
        if await watcher.is_all_committed():
            return
        so_far = await watcher.committed()
        if so_far > committed:
            committed, moved = so_far, now
        elif now - moved > STALLED_SECONDS:
            raise worker.failure(
                f"has committed nothing for {STALLED_SECONDS:g} s, with events left to work on"
            )
