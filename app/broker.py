"""Reaching the broker: any client is started again and again until it answers or time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from app.errors import BrokerError, TopicsError
from app.logs import held_back, logger
from app.refusals import AUTHORIZATION_ERRORS, TOKEN_REFUSED, not_allowed, refusal
from app.settings import Settings

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

NO_ANSWER: Final = "no answer"
_NO_METADATA: Final = "No broker metadata found"

log = logger()


class Client(Protocol):
    """What aiokafka's clients have in common here."""

    async def start(self) -> None:
        """Connect; may be called again after it failed."""


async def start_client(client: Client, brokers: str, timeout_seconds: float) -> None:
    """Start a client, trying again with growing pauses for up to `timeout_seconds`.

    Each failure is logged as `broker.unreachable` with the reason. Raises BrokerError when time is up, or at
    once when the broker refuses for good: a wrong password stays wrong.
    """
    deadline = time.monotonic() + timeout_seconds
    pause_seconds = FIRST_PAUSE_SECONDS
    reason = NO_ANSWER
    while True:
        failure = await _try_to_start(client, brokers, max(0.1, deadline - time.monotonic()))
        if failure is None:
            return
        if failure != NO_ANSWER:  # what was said before tells more
            reason = failure
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            raise BrokerError(
                f"No broker answered at {brokers} within {timeout_seconds:g} s: {reason}. Is it running, and "
                "are GRADEWATCH_BROKERS and GRADEWATCH_SECURITY_PROTOCOL right?"
            )
        log.warning("broker.unreachable", brokers=brokers, reason=reason, seconds_left=round(left_seconds))
        await asyncio.sleep(min(pause_seconds, left_seconds))
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


async def _try_to_start(client: Client, brokers: str, timeout_seconds: float) -> str | None:
    """Start a client; return why it could not be started. Raises BrokerError when it never will."""
    # aiokafka's exception does not say why, its log does.
    with held_back("aiokafka", "aiokafka.cluster") as said:
        try:
            async with asyncio.timeout(timeout_seconds):
                await client.start()
            failure = None
        except TimeoutError:  # an OSError, but without words
            failure = NO_ANSWER
        except (KafkaError, OSError) as error:  # ssl.SSLError is an OSError too
            failure = str(error)
    errors = [arg for record in said for arg in record.args or () if isinstance(arg, BaseException)]
    if errors and failure is not None and (sentence := refusal(errors, brokers)) is not None:
        raise BrokerError(sentence)
    messages = [record.getMessage() for record in said]
    if any(message.startswith(_NO_METADATA) for message in messages):
        # aiokafka doesn't read the answer to a bearer token, and takes the refusal for the next answer.
        raise BrokerError(TOKEN_REFUSED.format(brokers=brokers))
    return None if failure is None else next(reversed(messages), failure)


@asynccontextmanager
async def admin_client(settings: Settings, timeout_seconds: float) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client that is connected; raises BrokerError when no broker can be reached."""
    admin = AIOKafkaAdminClient(client_id="gradewatch-admin", **settings.kafka_client_options())
    try:
        await start_client(admin, settings.brokers, timeout_seconds)
        yield admin
    finally:
        await admin.close()


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return how many partitions each topic has; raises BrokerError when the broker does not answer."""
    try:
        # Of all topics: to ask for one by its name may create it (auto.create.topics.enable).
        topics = await admin.describe_topics()
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(f"The broker did not answer about its topics: {error!r}.") from error
    return {topic["topic"]: len(topic["partitions"]) for topic in topics if topic["partitions"]}


async def partitions_to_write_to(settings: Settings, topic: str, timeout_seconds: float) -> int:
    """Return how many partitions a topic has that is written to and never created on the way.

    Raises TopicsError when it does not exist, BrokerError when the broker does not answer.
    """
    async with admin_client(settings, timeout_seconds) as admin:
        partitions = (await partition_counts(admin)).get(topic)
    if partitions is None:
        raise TopicsError(f"Topic {topic} does not exist.\n`gradewatch topics create` creates it.")
    return partitions


async def check_group(admin: AIOKafkaAdminClient, group: str) -> None:
    """Raise BrokerError when no ACL lets this user be in the group: a consumer would wait for ever."""
    try:
        await admin.list_consumer_group_offsets(group)
    except GroupAuthorizationFailedError as error:
        raise BrokerError(not_allowed(error)) from error
    except (KafkaError, TimeoutError):  # whether it has a coordinator yet is the consumer's to wait for
        pass


async def partitions_of(
    settings: Settings, topics: Sequence[str], timeout_seconds: float
) -> list[TopicPartition]:
    """Return all partitions of some topics; raises TopicsError when one does not exist."""
    async with admin_client(settings, timeout_seconds) as admin:
        counts = await partition_counts(admin)
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise TopicsError(
            "\n".join(
                [
                    *(f"Topic {topic} does not exist." for topic in missing),
                    "`gradewatch topics create` creates what is missing; are GRADEWATCH_TOPIC_PREFIX and "
                    "GRADEWATCH_APP_ID the worker's? What no ACL lets this user see counts as missing.",
                ]
            )
        )
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]


@asynccontextmanager
async def reader(
    settings: Settings, partitions: Sequence[TopicPartition], timeout_seconds: float
) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer of some partitions, in no group, so that it disturbs no worker and commits nothing.

    Raises BrokerError when none can be reached, or when no ACL allows to read what is read in the block.
    """
    consumer = AIOKafkaConsumer(
        client_id="gradewatch-reader",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **settings.kafka_client_options(),
    )
    try:
        await start_client(consumer, settings.brokers, timeout_seconds)
        consumer.assign(partitions)
        yield consumer
    except AUTHORIZATION_ERRORS as error:
        raise BrokerError(not_allowed(error)) from error
    finally:
        await consumer.stop()
