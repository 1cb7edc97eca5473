"""The bridges of the how-to guide against a real Kafka; SQS and Canvas are stood in for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric import rsa

from app.docs import ROOT
from models.grades import read
from models.records import CourseGradeChange
from tests.clients import consume, create_topic
from tests.docs.examples import load
from tests.kafka import KafkaBroker

EVENT = Path(ROOT, "tests/fixtures/canvas/documented_course_grade_change.in.json").read_text()


class Queue:
    """Does what SQS does: a message that is not deleted comes again."""

    def __init__(self, bodies: Sequence[str]) -> None:
        self.messages = {f"receipt-{n}": body for n, body in enumerate(bodies)}

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        WaitTimeSeconds: int,
    ) -> Mapping[str, Any]:
        assert MaxNumberOfMessages <= 10, "SQS refuses more"
        given = list(self.messages.items())[:MaxNumberOfMessages]
        return (
            {"Messages": [{"ReceiptHandle": handle, "Body": body} for handle, body in given]} if given else {}
        )

    def delete_message_batch(
        self, *, QueueUrl: str, Entries: Sequence[Mapping[str, str]]
    ) -> Mapping[str, Any]:
        assert len({entry["Id"] for entry in Entries}) == len(Entries) <= 10
        for entry in Entries:
            del self.messages[entry["ReceiptHandle"]]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}


@pytest.fixture
async def raw_topic(kafka: KafkaBroker, topic_prefix: str) -> str:
    """Give a raw topic."""
    topic = f"{topic_prefix}raw-events"
    await create_topic(kafka.bootstrap, topic, partitions=3)
    return topic


async def test_what_lies_in_sqs_comes_to_kafka_as_it_is(kafka: KafkaBroker, raw_topic: str) -> None:
    example = load("sqs_bridge")
    queue = Queue([EVENT, *(f'{{"number": {n}}}' for n in range(14))])
    waiting = set(queue.messages.values())
    carrying = asyncio.create_task(example.bridge(queue, "url", kafka.bootstrap, raw_topic))
    while queue.messages:
        assert not carrying.done(), carrying
        await asyncio.sleep(0.05)
    carrying.cancel()
    await asyncio.wait([carrying])
    assert {message.value.decode() for message in await consume(kafka.bootstrap, raw_topic)} == waiting


async def test_nothing_is_deleted_in_sqs_that_kafka_does_not_have() -> None:
    class Refusing:
        async def send(self, topic: str, value: bytes) -> asyncio.Future[None]:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(ConnectionError("no broker"))
            return refused

    queue = Queue([EVENT])
    with pytest.raises(ConnectionError):
        await load("sqs_bridge").carry(queue, "url", Refusing(), "raw-events")
    assert len(queue.messages) == 1


class Canvas:
    """Signs events as Canvas does, and shows its public keys."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def signed(self, event: Mapping[str, Any]) -> str:
        return jwt.encode(dict(event) | {"iat": int(time.time())}, self._key, "RS256", headers={"kid": "now"})

    def shown_keys(self) -> dict[str, Any]:
        shown = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**shown, "kid": "now", "alg": "RS256", "use": "sig"}]}


@pytest.fixture
async def served() -> AsyncIterator[Any]:
    """Give a function that serves a web application on a free port and returns its address."""
    runners = []

    async def serve(app: web.Application) -> str:
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield serve
    for runner in runners:
        await runner.cleanup()


async def test_signed_events_come_to_kafka_and_no_others(
    kafka: KafkaBroker, raw_topic: str, served: Any
) -> None:
    canvas, stranger = Canvas(), Canvas()

    async def keys(_: web.Request) -> web.Response:
        return web.json_response(canvas.shown_keys())

    shown = web.Application()
    shown.router.add_get("/jwks", keys)
    jwks = jwt.PyJWKClient(await served(shown) + "/jwks")
    address = await served(load("https_bridge").application(kafka.bootstrap, jwks, raw_topic)) + "/canvas"

    async with aiohttp.ClientSession() as session:

        async def post(body: str) -> int:
            async with session.post(address, data=body) as answer:
                return answer.status

        event = json.loads(EVENT)
        assert await post(canvas.signed(event)) == 204
        assert await post(stranger.signed(event)) == 401
        assert await post(EVENT) == 401

    (message,) = await consume(kafka.bootstrap, raw_topic)
    assert isinstance(read(message.value, message.timestamp), CourseGradeChange)


async def test_what_kafka_does_not_take_is_sent_again_by_canvas(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load("https_bridge")
    canvas = Canvas()

    class Silent(AIOKafkaProducer):  # type: ignore[misc] # aiokafka has no types
        def __init__(self, **_: Any) -> None: ...
        def __del__(self) -> None: ...
        async def __aenter__(self) -> "Silent":
            return self

        async def __aexit__(self, *_: object) -> None: ...
        async def send_and_wait(self, topic: str, value: bytes) -> None:
            await asyncio.sleep(60)

    class Keys:
        def get_signing_key_from_jwt(self, token: str) -> jwt.PyJWK:
            return jwt.PyJWK(canvas.shown_keys()["keys"][0])

    monkeypatch.setattr(example, "AIOKafkaProducer", Silent)
    monkeypatch.setattr(example, "ANSWER_SECONDS", 0.1)
    address = await served(example.application("127.0.0.1:9", Keys())) + "/canvas"
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data=canvas.signed(json.loads(EVENT))) as answer,
    ):
        assert answer.status == 503
