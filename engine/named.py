"""Names: a worker that the group has counted out does not put out another that has its name by now.

With static membership who joins under a name takes the place of whoever has it. aiokafka says the name only
when it joins. So a worker that was suspended past its session would learn no more than that the group doesn't
know it, join anew, and put its successor out, which would do the same in its turn. Therefore the broker is
asked before a worker joins anew: it knows whether the name is another member's.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    KafkaError,
    NotCoordinatorForGroupError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.types import Int16, Int32, Schema, String

from engine.errors import EngineError

#: FENCED_INSTANCE_ID, which aiokafka has no name for.
FENCED: Final = 82
_ASK_AGAIN: Final = {
    error.errno
    for error in (GroupLoadInProgressError, GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
}


class NameTakenError(EngineError):
    """Another worker has joined the group under this one's name."""


class _NamedHeartbeatResponse(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _NamedHeartbeatV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _NamedHeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _NamedHeartbeat(Request[_NamedHeartbeatV3]):  # type: ignore[misc]
    """As aiokafka's, which knows version 1; since version 3 one can say one's name."""

    API_KEY = 12

    def __init__(self, group: str, generation_id: int, member_id: str, instance_id: str) -> None:
        self._fields = (group, generation_id, member_id, instance_id)

    def build(self, request_struct_class: type[_NamedHeartbeatV3]) -> _NamedHeartbeatV3:
        return request_struct_class(*self._fields)


def keep_name(coordinator: Any, instance_id: str, taken: Callable[[NameTakenError], None]) -> None:
    """Have aiokafka's coordinator join anew only while the name is nobody else's.

    Where it is, `taken` is called, once for each try, and the group is let be.
    """
    send: Callable[[Any], Awaitable[Any]] = coordinator._send_req
    #: Who we were last, until the broker has said that nobody has come after.
    was: tuple[int, str] | None = None

    def give_up() -> None:
        taken(NameTakenError(f"another worker has the name {instance_id} by now, and its place in the group"))
        raise KafkaError("the name is another worker's")

    async def ask() -> None:
        nonlocal was
        if was is None:
            return
        try:
            answer = await send(_NamedHeartbeat(coordinator.group_id, *was, instance_id))
        except (NotImplementedError, IncompatibleBrokerVersion):  # a broker older than Apache Kafka 2.3
            was = None
            return
        if answer.error_code == FENCED:
            give_up()
        if answer.error_code not in _ASK_AGAIN:
            was = None  # lest the answer to our own joining gets lost, and we take ourselves for another

    async def send_knowing(request: Any) -> Any:
        nonlocal was
        if coordinator.member_id:
            was = (coordinator.generation, coordinator.member_id)
        elif isinstance(request, JoinGroupRequest):
            await ask()
        answer = await send(request)
        if getattr(answer, "error_code", None) == FENCED:
            give_up()
        return answer

    coordinator._send_req = send_knowing
