"""Fences: a changelog partition takes rows from the worker that took it over last, and from no other.

A worker that is suspended in the middle of a flush can't know, when it goes on, that another has taken its
place meanwhile; its rows would lie over its successor's. So who takes a partition over asks the broker for
the producer id of the partition's transactional id: the answer comes with an epoch that is greater than any
before. Once a record of that epoch is in the partition, the broker refuses all earlier ones. No transaction
is ever begun: nothing has to be committed, and readers need no isolation level.

The record that makes the fence is a tombstone for a key that no row has.
"""

import asyncio
import time
import weakref
from typing import Any, Final

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    BrokerResponseError,
    ConcurrentTransactions,
    KafkaError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactString, Int16, Int32, Int64, Schema, TaggedFields

from engine.errors import EngineError

#: A broker forgets a transactional id that nobody asks for in 7 days (`transactional.id.expiration.ms`).
RENEW_AFTER_SECONDS: Final = 24 * 3600.0
#: No transaction is begun, so any value will do that brokers take (`transaction.max.timeout.ms`).
_TRANSACTION_TIMEOUT_MS: Final = 60_000
_RETRY_SECONDS: Final = 0.05
_NONE: Final = -1


class FencingRefusedError(EngineError):
    """The broker gives this user no epochs."""


class _InitProducerIdResponse(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 22
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _InitProducerIdRequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 22
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _InitProducerIdResponse
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _InitProducerId(Request[_InitProducerIdRequestV3]):  # type: ignore[misc]
    """As aiokafka's, which knows version 0 only; since version 3 one can say which epoch one has."""

    API_KEY = 22

    def __init__(self, transactional_id: str, producer_id: int, producer_epoch: int) -> None:
        self._fields: tuple[Any, ...] = (
            transactional_id,
            _TRANSACTION_TIMEOUT_MS,
            producer_id,
            producer_epoch,
            {},
        )

    def build(self, request_struct_class: type[_InitProducerIdRequestV3]) -> _InitProducerIdRequestV3:
        return request_struct_class(*self._fields)


class Fence:
    """One partition's producer id and epoch, and how many records it has numbered."""

    __slots__ = ("_producer_epoch", "_producer_id", "_sequence", "_transactional_id", "claimed_at")

    def __init__(self, transactional_id: str, producer_id: int, producer_epoch: int) -> None:
        self._transactional_id = transactional_id
        self._producer_id = producer_id
        self._producer_epoch = producer_epoch
        self._sequence = 0
        self.claimed_at = time.monotonic()

    def put_round(self, builder: Any) -> None:
        """Have a batch sent under this fence instead of its producer's own id and numbers.

        Batches of a partition must be sent in the order in which they went through here.
        """
        # Not the batch itself: in a circle with it, all its records would wait for the garbage collector.
        itself = weakref.ref(builder)

        def stamp(*_producers_own: int) -> None:
            batch: Any = itself()
            BatchBuilder._set_producer_state(batch, self._producer_id, self._producer_epoch, self._sequence)
            self._sequence = (self._sequence + batch.record_count()) % (1 << 31)

        builder._set_producer_state = stamp

    async def renewed(self, client: Any, timeout_seconds: float) -> "Fence":
        """Return the next epoch, lest the broker forget; raises aiokafka's errors when there is a newer."""
        answer = await _ask(
            client, self._transactional_id, self._producer_id, self._producer_epoch, timeout_seconds
        )
        return Fence(self._transactional_id, *answer)


async def claim(client: Any, transactional_id: str, timeout_seconds: float) -> Fence:
    """Return an epoch greater than all before.

    Raises FencingRefusedError when the user may not have the transactional id, aiokafka's errors when the
    broker refuses for another reason, TimeoutError when no broker answers in time.
    """
    return Fence(transactional_id, *await _ask(client, transactional_id, _NONE, _NONE, timeout_seconds))


async def _ask(
    client: Any, transactional_id: str, producer_id: int, producer_epoch: int, timeout_seconds: float
) -> tuple[int, int]:
    request = _InitProducerId(transactional_id, producer_id, producer_epoch)
    async with asyncio.timeout(timeout_seconds):
        while True:
            try:
                node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
                if await client.ready(node, group=ConnectionGroup.COORDINATION):
                    answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
                    if answer.error_code == 0:
                        return answer.producer_id, answer.producer_epoch
                    raise for_code(answer.error_code)(transactional_id)
            except TransactionalIdAuthorizationFailed as error:
                raise FencingRefusedError(
                    f"the broker lets this user have no transactional id {transactional_id}"
                ) from error
            except NotImplementedError as error:  # aiokafka's, where versions don't meet
                raise FencingRefusedError("the broker is older than Apache Kafka 2.5") from error
            except KafkaError as error:
                # A coordinator that is moving or loading is not ready yet; its topic may be new.
                is_refusal = isinstance(error, BrokerResponseError) and not error.retriable
                if is_refusal and not isinstance(error, ConcurrentTransactions):
                    raise
            await asyncio.sleep(_RETRY_SECONDS)
