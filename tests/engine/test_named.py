"""A worker that the group has counted out asks whether its name is another's before it joins anew."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NotCoordinatorForGroupError, UnknownMemberIdError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from engine.named import FENCED, NameTakenError, keep_name

UNKNOWN, MOVED = UnknownMemberIdError.errno, NotCoordinatorForGroupError.errno


class Coordinator:
    """Stands for aiokafka's, and for the broker: answers heartbeats that say a name as it is told to."""

    group_id = "group"

    def __init__(self, *answers: int | Exception) -> None:
        self.member_id = ""
        self.generation = -1
        self.answers = list(answers)
        self.asked: list[str] = []
        self.taken: list[NameTakenError] = []
        keep_name(self, "name", self.taken.append)

    async def _send_req(self, request: Any) -> SimpleNamespace:
        self.asked.append(type(request).__name__)
        answer: int | Exception = 0
        if type(request).__name__ == "_NamedHeartbeat":
            assert request._fields == ("group", 4, "old", "name")
            answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(error_code=answer)

    async def join(self) -> None:
        await self._send_req(JoinGroupRequest("group", 1, 1, self.member_id, "name", "consumer", []))

    async def counted_out(self) -> None:
        """Be a member for a while, and then none."""
        self.member_id, self.generation = "old", 4
        await self._send_req(HeartbeatRequest("group", 4, "old"))
        self.member_id, self.generation = "", -1
        self.asked.clear()


async def test_who_was_no_member_before_joins_at_once() -> None:
    coordinator = Coordinator()
    await coordinator.join()
    assert coordinator.asked == ["JoinGroupRequest"]


async def test_a_name_that_is_another_members_is_let_be() -> None:
    coordinator = Coordinator(FENCED, FENCED)
    await coordinator.counted_out()
    for _ in range(2):
        with pytest.raises(KafkaError):
            await coordinator.join()
    assert coordinator.asked == ["_NamedHeartbeat"] * 2
    assert str(coordinator.taken[0]) == "another worker has the name name by now, and its place in the group"


async def test_a_name_that_nobody_has_is_joined_under_and_asked_for_once() -> None:
    coordinator = Coordinator(MOVED, UNKNOWN)
    await coordinator.counted_out()
    for _ in range(3):  # the broker's answer may be lost: that it knows the name then is our own doing
        await coordinator.join()
    assert coordinator.asked == ["_NamedHeartbeat", "JoinGroupRequest"] * 2 + ["JoinGroupRequest"]
    assert not coordinator.taken


async def test_a_broker_that_knows_no_names_in_heartbeats_is_not_asked_again() -> None:
    coordinator = Coordinator(NotImplementedError())
    await coordinator.counted_out()
    for _ in range(2):
        await coordinator.join()
    assert coordinator.asked == ["_NamedHeartbeat", "JoinGroupRequest", "JoinGroupRequest"]


async def test_whatever_the_broker_refuses_for_the_names_sake_is_known() -> None:
    coordinator = Coordinator()

    async def fenced(_: object) -> SimpleNamespace:
        return SimpleNamespace(error_code=FENCED)

    coordinator._send_req = fenced  # type: ignore[method-assign, assignment]
    keep_name(coordinator, "name", coordinator.taken.append)
    with pytest.raises(KafkaError):
        await coordinator.join()
    assert len(coordinator.taken) == 1
