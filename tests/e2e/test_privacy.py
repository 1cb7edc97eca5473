"""Markers in every field of raw messages are found where they may be, and nowhere else."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord

from app import logs
from tests.e2e.harness import Deployment, Raw
from tests.e2e.marked import Marked, marked_events, marked_poison

BROKEN = Path(__file__).with_name("broken.py")
BRIDGE = "marker-of-the-bridge"


def raw(marked: Marked) -> list[Raw]:
    """Place all on one partition, so that one student's come in order; keys and headers have a marker too."""
    headers = [(BRIDGE, BRIDGE.encode())]
    return [Raw(value, 0, BRIDGE.encode(), headers) for value in marked.values]


def found(markers: Iterable[str], text: str) -> list[str]:
    return sorted(marker for marker in markers if marker in text)


def everything(records: Iterable[ConsumerRecord]) -> str:
    """Return keys, headers and values as one text."""
    return "\n".join(
        part.decode("utf-8", "replace")
        for record in records
        for part in (
            record.key,
            record.value,
            *(b"%s: %s" % (k.encode(), v or b"") for k, v in record.headers),
        )
        if part is not None
    )


async def test_what_is_in_an_event_shows_only_where_it_may(deployment: Deployment) -> None:
    await deployment.create_topics()
    events, poison = marked_events(), marked_poison()
    worker = await deployment.worker(log_level="debug").until_ready()
    await deployment.produce([*raw(events), *raw(poison)])
    await deployment.until_done()
    pages = [(await worker.get(page))[1] for page in ("/metrics", "/readyz", "/healthz")]
    assert await worker.terminate() == 0

    topology = deployment.topology
    never = events.never | poison.never | {BRIDGE}
    for said in (worker.output, *pages):
        assert found(events.all | never, said) == []
    for topic in (topology.alerts, topology.snapshots):
        seen = everything(await deployment.read(topic))
        assert found(events.student, seen), f"{topic.name} has nothing to look at"
        assert found(never | events.staff, seen) == []
    for topic in (
        topology.records,
        topology.staff_alerts,
        topology.course_drops,
        topology.scores_changelog,
        topology.drops_changelog,
    ):
        seen = everything(await deployment.read(topic))
        assert found(never, seen) == [], topic.name
    assert found(events.staff, everything(await deployment.read(topology.records))) == sorted(events.staff)

    letters = await deployment.read(topology.dead_letters)
    assert found(poison.never, everything(letters)) == sorted(poison.never)
    for letter in letters:  # what is added to a message says where it's wrong and quotes nothing of it
        added = "\n".join(f"{name}: {value}" for name, value in letter.headers if name != BRIDGE)
        assert found(events.all | poison.never, added) == []


@pytest.mark.parametrize("where", ["router", "outlet", "changelog"])
async def test_a_bug_that_quotes_what_it_had_in_hand_is_told_without(
    deployment: Deployment, where: str
) -> None:
    await deployment.create_topics()
    events = marked_events()
    worker = deployment.worker(command=(sys.executable, BROKEN, where, "worker"), log_level="debug")
    await worker.until_ready()
    await deployment.produce(raw(events))
    assert await worker.until_ended() == 1
    (bug,) = worker.logged("worker.bug")
    assert bug["error"] == "QuotingError"
    assert any(frame.startswith(str(BROKEN)) for frame in bug["where"])
    assert found(events.all | {BRIDGE}, worker.output) == []


@pytest.mark.parametrize("name", ["aiokafka.conn", "faust.transport", "mode", "aiohttp.server", "asyncio"])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_libraries_that_print_requests_are_never_logged_at_debug(name: str, level: str) -> None:
    logs.configure("json", level)
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
    assert logging.getLogger("gradewatch.engine").isEnabledFor(logging.DEBUG) is (level == "debug")
