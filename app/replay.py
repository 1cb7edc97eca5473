"""Dead letters go back to the raw topic: as they came, without the headers that say why.

What is replayed is a raw message like any other, with the time of the replay: a worker reads it again, and
what still can't be read becomes a new dead letter. The event id makes a second replay harmless.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from app.broker import partitions_to_write_to, start_client
from app.errors import BrokerError
from engine.errors import DeliveryError
from engine.outlet import Outlet
from models.headers import original_headers

if TYPE_CHECKING:
    from app.dead_letters import Archive, Letter, Progress, Wanted
    from app.settings import Settings


_DIGEST_BYTES: Final = 16
_DRAIN_BYTES: Final = 8 * 1024 * 1024
_DRAIN_MESSAGES: Final = 1000
"""What may be on its way before the replay waits for the broker."""


class Skipped(StrEnum):
    """Why a dead letter is not replayed; the text ends the sentence "N were left out: …"."""

    TRUNCATED = "only their beginning was kept (gradewatch.truncated), so they could never be read"
    DERIVED = "they came from a topic that only workers write to, not from the raw one"
    REPEATED = "the same message is replayed already"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay does, or would do."""

    replayed: Counter[str] = field(default_factory=Counter)
    """Dead letters by reason."""
    skipped: Counter[Skipped] = field(default_factory=Counter)


class Choice:
    """Tells of each dead letter, one after the other, whether it is replayed."""

    def __init__(self, settings: Settings) -> None:
        topology = settings.topology()
        self._derived = {topology.records.name, topology.course_drops.name}
        self._seen: set[bytes] = set()

    def reason_to_skip(self, letter: Letter) -> Skipped | None:
        """Return why a dead letter is left out, None when it is replayed.

        What is left out as repeated came back as a new dead letter after an earlier replay. Without this a
        message that can never be read would be twice as many after each replay.
        """
        if letter.failure.whole_bytes is not None:
            return Skipped.TRUNCATED
        if letter.failure.topic in self._derived:
            return Skipped.DERIVED
        digest = _digest(letter)
        if digest in self._seen:
            return Skipped.REPEATED
        self._seen.add(digest)
        return None


def _digest(letter: Letter) -> bytes:
    """Return a hash of a message as it came; what is absent differs from what is empty."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for name, content in (("", letter.key), ("", letter.value), *original_headers(letter.headers)):
        for part in (name.encode(), content):
            digest.update(b"-" if part is None else b"%d:" % len(part) + part)
    return digest.digest()


async def plan(
    settings: Settings, letters: Archive, wanted: Wanted, limit: int | None, progress: Progress
) -> Outcome:
    """Tell what a replay would do; nothing is written."""
    return await _choose(settings, letters, wanted, limit, progress, send=None)


async def replay(
    settings: Settings,
    letters: Archive,
    wanted: Wanted,
    limit: int | None,
    progress: Progress,
    *,
    timeout_seconds: float,
) -> Outcome:
    """Write the dead letters that are wanted, at most `limit` of them, to the raw topic, the oldest first.

    Each goes to the raw partition that it came from, so that what was in order there stays so, or, where
    there is no such partition, to that of its key. Returns when the broker has acknowledged all of it.
    Raises TopicsError without a raw topic, and BrokerError when the broker can't be reached or refuses one.
    """
    raw = settings.topology().raw.name
    partitions = await partitions_to_write_to(settings, raw, timeout_seconds)
    outlet = Outlet(
        settings.kafka_client_options(),
        {raw: partitions},
        delivery_timeout_seconds=settings.delivery_timeout_seconds,
    )
    await start_client(outlet, settings.brokers, timeout_seconds)

    def send(letter: Letter) -> None:
        came_from = letter.failure.partition
        place = came_from if came_from is not None and came_from < partitions else None
        outlet.send(raw, letter.key, letter.value, original_headers(letter.headers), partition=place)

    try:
        return await _choose(settings, letters, wanted, limit, progress, send=send, drain=outlet.drain)
    except DeliveryError as error:
        raise BrokerError(
            f"The broker did not take all dead letters: {error}. What was replayed may be replayed again."
        ) from error
    finally:
        await outlet.stop()


async def _choose(
    settings: Settings,
    letters: Archive,
    wanted: Wanted,
    limit: int | None,
    progress: Progress,
    *,
    send: Callable[[Letter], None] | None,
    drain: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    outcome = Outcome()
    choice = Choice(settings)
    undrained_bytes = 0
    async with aclosing(letters.read(wanted, progress)) as found:
        async for letter in found:
            skipped = choice.reason_to_skip(letter)
            if skipped is not None:
                outcome.skipped[skipped] += 1
                continue
            if send is not None and drain is not None:
                send(letter)
                undrained_bytes += len(letter.value or b"")
                if undrained_bytes > _DRAIN_BYTES or not outcome.replayed.total() % _DRAIN_MESSAGES:
                    await drain()
                    undrained_bytes = 0
            outcome.replayed[letter.failure.reason] += 1
            if outcome.replayed.total() == limit:
                break
    if drain is not None:
        await drain()
    return outcome
