from __future__ import annotations

from app.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def seen(*steps: tuple[float, object, bool]) -> Progress:
    """Look at a chunk each so many seconds after the last look, with a deadline of 10 seconds."""
    clock = Clock()
    progress = Progress(10.0, clock)
    for seconds, chunk, waits_for_broker in steps:
        clock.now += seconds
        progress.look(chunk, waits_for_broker=waits_for_broker)
    return progress


def test_a_chunk_in_hand_makes_the_worker_slow_then_stalled_then_over() -> None:
    for seconds, expected in (
        (5, ""),
        (6, "slow"),
        (10, "slow"),
        (11, "stalled"),
        (15, "stalled"),
        (16, "over"),
    ):
        progress = seen((0, "chunk", False), (seconds, "chunk", False))
        worst = [name for name in ("slow", "stalled", "over") if getattr(progress, name)]
        assert (worst or [""])[-1] == expected, seconds


def test_what_the_broker_takes_does_not_count() -> None:
    assert (
        seen((0, "chunk", False), (4, "chunk", False), (90, "chunk", True), (3, "chunk", False)).seconds == 7
    )


def test_another_chunk_or_none_starts_anew() -> None:
    assert seen((0, "one", False), (9, "one", False), (2, "two", False), (3, "two", False)).seconds == 3
    assert seen((0, "one", False), (9, "one", False), (2, None, False), (30, None, False)).seconds == 0
