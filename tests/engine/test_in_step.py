"""Partitions in step: what may go, in which order, and who waits for whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from engine.in_step import InStep
from engine.merging import merged
from engine.unpacking import Batch

A, B = TP("raw", 0), TP("raw", 1)


@dataclass
class Message:
    """As much of a message as is looked at."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def messages(tp: TP, *timestamps: int, offset: int = 0) -> list[Message]:
    return [Message(tp.topic, tp.partition, offset + i, at) for i, at in enumerate(timestamps)]


def batches(tp: TP, *timestamps: int, offset: int = 0) -> list[Batch]:
    return [Batch.of(messages(tp, *timestamps, offset=offset))]


def times(step: InStep, *behind: TP) -> list[int]:
    taken = step.take(behind)
    return [r.timestamp for piece in merged(taken) for r in piece.records]


def test_partitions_read_to_their_end_hold_nobody_up() -> None:
    step = InStep(skew_ms=2_000)
    step.add(A, batches(A, 5_000))
    assert times(step) == [5_000]


def test_nothing_goes_beyond_what_a_partition_that_is_behind_has_shown() -> None:
    step = InStep(skew_ms=2_000)
    step.add(A, batches(A, 10, 20, 90))
    step.add(B, batches(B, 15, 40))
    assert times(step, A, B) == [10, 15, 20, 40]
    assert step.holding


def test_a_partition_that_is_behind_without_anything_at_hand_is_waited_for() -> None:
    step = InStep(skew_ms=2_000, clock=Clock())
    step.add(A, batches(A, 10, 90))
    step.add(B, batches(B, 40))
    times(step, A, B)
    assert times(step, A, B) == []
    step.add(B, batches(B, 50, 100, offset=1))
    assert times(step, A, B) == [50, 90]


def test_a_partition_that_stays_away_is_overtaken_by_the_skew_and_after_a_while_by_all() -> None:
    clock = Clock()
    step = InStep(skew_ms=2_000, patience_seconds=1.0, away_seconds=30.0, clock=clock)
    step.add(A, batches(A, 10, 1_000, 3_000))
    step.add(B, batches(B, 500))
    assert times(step, A, B) == [10, 500]
    assert times(step, A, B) == []
    clock.seconds = 1.5
    assert times(step, A, B) == [1_000]
    clock.seconds = 29.0
    assert times(step, A, B) == []
    clock.seconds = 31.0
    assert times(step, A, B) == [3_000]
    step.add(B, batches(B, 4_000))  # it is back, and waited for again
    step.add(A, batches(A, 3_500, 9_000))
    assert times(step, A, B) == [3_500, 4_000]
    assert times(step, A, B) == []


def test_a_partition_of_which_nothing_is_known_is_waited_for_only_for_a_while() -> None:
    clock = Clock()
    step = InStep(skew_ms=2_000, patience_seconds=1.0, clock=clock)
    step.add(A, batches(A, 10))
    assert times(step, A, B) == []
    clock.seconds = 1.5
    assert times(step, A, B) == [10]


def test_what_is_held_is_bounded() -> None:
    step = InStep(skew_ms=2_000, max_records=3, clock=Clock())
    step.add(A, batches(A, 40, 50, 60, 70))
    assert times(step, B) == [40, 50, 60, 70]


def test_of_a_partition_that_waits_for_others_no_more_is_asked_for() -> None:
    step = InStep(skew_ms=2_000, clock=Clock())
    step.add(A, batches(A, 40, 50))
    assert not step.has_enough(A)
    step.add(A, batches(A, 60, 70, offset=2))
    assert step.has_enough(A)
    assert not step.has_enough(B)
    step.add(B, batches(B, 55))
    assert times(step, A, B) == [40, 50, 55]
    assert not step.has_enough(A)


def test_a_seek_forgets() -> None:
    step = InStep(skew_ms=0)
    step.add(A, batches(A, 10))
    step.clear()
    assert not step.holding
    assert times(step) == []


fetches = st.lists(
    st.tuples(st.sampled_from([A, B, TP("raw", 2)]), st.lists(st.integers(0, 50), min_size=1, max_size=6)),
    max_size=12,
)


@given(fetches, st.booleans())
def test_nothing_is_lost_and_offsets_stay_in_order(fetched: list[tuple[TP, list[int]]], behind: bool) -> None:
    step = InStep(skew_ms=10)
    added: dict[TP, list[int]] = {}
    taken: dict[TP, list[int]] = {}

    def take(*partitions: TP) -> None:
        gone = step.take(partitions)
        for piece in merged(gone):
            for index, record in enumerate(piece.records):
                taken.setdefault(piece.tp_of(index), []).append(record.offset)
        assert {tp: taken[tp][-1] + 1 for tp in gone} == {tp: of[-1].next_offset for tp, of in gone.items()}

    for tp, timestamps in fetched:
        offsets = added.setdefault(tp, [])
        records = messages(tp, *timestamps, offset=len(offsets))
        offsets.extend(record.offset for record in records)
        step.add(tp, [Batch.of(records[:3]), *([Batch.of(records[3:])] if records[3:] else [])])
        take(*(added if behind else ()))
    take()
    assert taken == added
    assert not step.holding


@given(st.lists(st.lists(st.integers(0, 1_000), max_size=8).map(sorted), min_size=1, max_size=4))
def test_with_rising_clocks_a_backlog_goes_strictly_in_the_order_of_time(backlog: list[list[int]]) -> None:
    """Each round brings the next two records of every partition that has any."""
    step = InStep(skew_ms=0, clock=Clock())
    left = {TP("raw", i): messages(TP("raw", i), *timestamps) for i, timestamps in enumerate(backlog)}
    gone: list[int] = []
    while any(left.values()) or step.holding:
        for tp, records in left.items():
            if records:
                step.add(tp, [Batch.of(records[:2])])
                left[tp] = records[2:]
        gone.extend(times(step, *(tp for tp in left if left[tp])))
    assert gone == sorted(gone)
    assert len(gone) == sum(map(len, backlog))
