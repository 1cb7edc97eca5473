from __future__ import annotations

from agents.trails import MOST_LINKS, Trail
from tests.agents.fakes import Message


def traceparent(number: int) -> bytes:
    return b"00-%032x-%016x-01" % (number + 1, number + 1)


def traced(number: int) -> Message:
    return Message(b"", headers=[("bridge", b"x"), ("traceparent", traceparent(number))])


def test_a_trace_is_handed_on_and_remembered_once() -> None:
    trail = Trail()
    assert trail.follow(Message(b"")) == ()
    for number in (1, 2, 1):
        assert trail.follow(traced(number)) == (("traceparent", traceparent(number)),)
    assert trail.take() == [traceparent(1), traceparent(2)]
    assert trail.take() == []


def test_so_many_are_remembered_and_all_handed_on() -> None:
    trail = Trail()
    for number in range(MOST_LINKS + 10):
        assert trail.follow(traced(number))
    assert len(trail.take()) == MOST_LINKS
