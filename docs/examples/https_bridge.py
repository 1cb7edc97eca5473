"""Take Canvas events over HTTP to Kafka: `python https_bridge.py 127.0.0.1:9092 8080 JWKS_URL`.

Needs aiohttp, aiokafka, cramjam and pyjwt[crypto]. Put it behind whatever ends TLS for you. The data
stream in Canvas must be set to sign its payload: without a signature anybody who knows the address could
write grades.
"""

import asyncio
import json
import sys

import jwt
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

TOPIC = "raw-events"
MAX_BODY_BYTES = 2 * 1024 * 1024
ANSWER_SECONDS = 10  # Canvas waits 15 s, then sends the event again, and stops after too many failures


def application(brokers: str, keys: jwt.PyJWKClient, topic: str = TOPIC) -> web.Application:
    """Return the web application; `keys` are Canvas's public ones, fetched anew for one that is unknown."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    producer_key = web.AppKey("producer", AIOKafkaProducer)

    async def with_producer(app: web.Application):
        async with AIOKafkaProducer(
            bootstrap_servers=brokers, enable_idempotence=True, compression_type="zstd", linger_ms=5
        ) as producer:
            app[producer_key] = producer
            yield

    async def take(request: web.Request) -> web.Response:
        token = await request.text()
        try:
            key = await asyncio.to_thread(keys.get_signing_key_from_jwt, token)
            event = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
        except jwt.PyJWKClientConnectionError:
            return web.Response(status=503, text="The keys can't be fetched now.\n")
        except jwt.PyJWTError:
            return web.Response(status=401, text="The payload is not signed by Canvas.\n")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await request.app[producer_key].send_and_wait(topic, json.dumps(event).encode())
        except (KafkaError, TimeoutError):
            return web.Response(status=503, text="Kafka does not take it now.\n")
        return web.Response(status=204)  # only now: what is answered so is not sent again

    app.cleanup_ctx.append(with_producer)
    app.router.add_post("/canvas", take)
    return app


if __name__ == "__main__":
    web.run_app(
        application(sys.argv[1], jwt.PyJWKClient(sys.argv[3])), host="127.0.0.1", port=int(sys.argv[2])
    )
