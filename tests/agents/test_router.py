"""The router: it takes in no more than the outlet has room for, however much a chunk has."""

import asyncio
from typing import cast

from prometheus_client import CollectorRegistry

from agents.metrics import Metrics
from agents.router import MESSAGES_BEFORE_ROOM, Router
from engine.outlet import Outlet
from models.grades import ReadLimits
from tests.agents.fakes import NOW, TOPOLOGY, FakeOutlet, Message, chunk_of

MESSAGES = 3 * MESSAGES_BEFORE_ROOM


class NarrowOutlet(FakeOutlet):
    """Is full once it is sent anything, until somebody makes room."""

    def __init__(self) -> None:
        super().__init__()
        self.made = asyncio.Event()

    @property
    def full(self) -> bool:
        return bool(self.sent) and not self.made.is_set()

    async def room(self) -> None:
        await self.made.wait()


async def test_it_waits_for_room_in_the_middle_of_a_chunk_and_has_counted_what_it_read() -> None:
    outlet, registry = NarrowOutlet(), CollectorRegistry()
    router = Router(
        TOPOLOGY,
        cast(Outlet, outlet),
        Metrics(registry, version=""),
        limits=ReadLimits(),
        version="",
        now=lambda: NOW,
    )

    def rejected() -> float | None:
        labels = {"event_name": "other", "outcome": "rejected"}
        return registry.get_sample_value("gradewatch_events_total", labels)

    chunk = chunk_of(TOPOLOGY.raw.name, [Message(b"{", offset=offset) for offset in range(MESSAGES)])
    routing = asyncio.create_task(router(chunk))
    await asyncio.sleep(0.05)
    assert not routing.done()
    assert len(outlet.sent) == MESSAGES_BEFORE_ROOM
    assert rejected() == MESSAGES_BEFORE_ROOM

    outlet.made.set()
    await routing
    assert len(outlet.sent) == MESSAGES
    assert rejected() == MESSAGES
