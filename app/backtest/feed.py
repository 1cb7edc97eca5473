"""From where events come to the backtest, with what has passed so far for whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from app.backtest.backtest import Backtest
from app.backtest.lines import read_lines

if TYPE_CHECKING:
    from app.settings import Settings

Progress: TypeAlias = Callable[[int, int | None], None]
"""Is told how much has passed and, where it is known only now, of how much: bytes of files, or offsets."""

_MERGED_RECORDS: Final = 10_000
"""Records that are judged before the progress is told again."""


def feed_files(
    backtest: Backtest, files: Sequence[str], *, max_value_bytes: int, merged: bool, progress: Progress
) -> None:
    """Take the events of files, one file after the other, or merged by event time.

    Merged, each file is taken to be in the order of its own, and memory holds a block of each.
    """
    passed = 0

    def pass_on(size: int) -> None:
        nonlocal passed
        passed += size

    if not merged:
        for name in files:
            for lines in read_lines(name, max_value_bytes, pass_on):
                backtest.take(lines)
                progress(passed, None)
        return
    records = merge(
        *(
            backtest.records(chain.from_iterable(read_lines(name, max_value_bytes, pass_on)))
            for name in files
        ),
        key=attrgetter("event_time"),
    )
    while some := list(islice(records, _MERGED_RECORDS)):
        backtest.judge(some)
        progress(passed, None)


async def feed_topic(
    backtest: Backtest,
    settings: Settings,
    topic: str,
    since: datetime | None,
    until: datetime | None,
    *,
    timeout_seconds: float,
    progress: Progress,
) -> None:
    """Take the events of a range of a topic in the order of Kafka's time, judged in time as a worker does."""
    from app.backtest.topic import read_range  # costs the import of aiokafka

    ranges = read_range(settings, topic, since, until, timeout_seconds=timeout_seconds, progress=progress)
    async for messages in ranges:
        backtest.take([message.value for message in messages], [message.timestamp for message in messages])
