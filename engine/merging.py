"""Batches of several partitions, given out in the order of Kafka's time; those of one as they stand."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from faust.types import TP

from engine.unpacking import Batch, Record

#: Batches that have fewer records than this are given out together.
_ENOUGH: Final = 256
_NEVER: Final = -(1 << 62)
_FOR_EVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Piece:
    """A few records to work on."""

    records: Sequence[Record]
    #: The partition of each, or that of all.
    origins: Sequence[TP] | TP

    def tp_of(self, index: int) -> TP:
        """Return the partition of the record at an index."""
        return self.origins if isinstance(self.origins, TP) else self.origins[index]

    def part(self, begin: int, end: int) -> "Piece":
        """Return the records from one index to before another."""
        if not begin and end >= len(self.records):
            return self
        origins = self.origins if isinstance(self.origins, TP) else self.origins[begin:end]
        return Piece(self.records[begin:end], origins)


def rising_times(records: Sequence[Record], at_least_ms: int = _NEVER) -> list[int]:
    """Return the records' times as ones that never fall: offsets count, whatever clocks said."""
    return list(accumulate([record.timestamp for record in records], max, initial=at_least_ms))[1:]


def merged(batches: Mapping[TP, Sequence[Batch]]) -> Iterator[Piece]:
    """Yield the records of all, oldest first; those of one partition in the order of their offsets.

    A batch is unpacked when the ones before it don't reach far enough, so that little is unpacked at a time.
    """
    parts = [_Part(tp, iter(of_one)) for tp, of_one in batches.items()]
    if len(parts) == 1:
        (part,) = parts
        while records := part.next_records():
            yield Piece(records, part.tp)
        return
    while parts:
        parts = [part for part in parts if part.records or part.unpack()]
        horizon_ms = min((part.times[-1] for part in parts), default=_FOR_EVER)
        cuts = [bisect_right(part.times, horizon_ms) for part in parts]
        yield from _sorted(parts, cuts)
        for part, cut in zip(parts, cuts, strict=True):
            part.drop(cut)


class _Part:
    """One partition's records: those at hand, and batches to come."""

    __slots__ = ("_batches", "records", "times", "tp")

    def __init__(self, tp: TP, batches: Iterator[Batch]) -> None:
        self.tp = tp
        self._batches = batches
        self.records: list[Record] = []
        self.times: list[int] = []

    def unpack(self) -> bool:
        """Take the next records to hand; False when there are none."""
        at_least_ms = self.times[-1] if self.times else _NEVER
        self.records = self.next_records()
        self.times = rising_times(self.records, at_least_ms)
        return bool(self.records)

    def next_records(self) -> list[Record]:
        """Return the next records, of whole batches; none when there are no more."""
        records: list[Record] = []
        for batch in self._batches:
            records += batch.records()
            if len(records) >= _ENOUGH:
                break
        return records

    def drop(self, count: int) -> None:
        """Let go of the first records; the time of the last one is kept in mind."""
        self.records = self.records[count:]
        if self.records:
            self.times = self.times[count:]


def _sorted(parts: Sequence[_Part], cuts: Sequence[int]) -> Iterator[Piece]:
    """Yield the first records of each part. Sorting finds the parts, which are sorted already."""
    chosen = [(part, cut) for part, cut in zip(parts, cuts, strict=True) if cut]
    if len(chosen) == 1:
        ((part, cut),) = chosen
        yield Piece(part.records[:cut], part.tp)
    elif chosen:
        records = [record for part, cut in chosen for record in part.records[:cut]]
        times = [at for part, cut in chosen for at in part.times[:cut]]
        origins = [part.tp for part, cut in chosen for _ in range(cut)]
        order = sorted(range(len(records)), key=times.__getitem__)
        yield Piece([records[i] for i in order], [origins[i] for i in order])
