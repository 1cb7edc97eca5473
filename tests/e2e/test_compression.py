"""Raw topics whose producers compress."""

from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, verify

CODECS = ("lz4", "zstd", "snappy", "gzip")


async def test_every_compression_is_read(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = list(anywhere(semester(4, 1_200), seed=4))
    quarter = len(messages) // len(CODECS) + 1
    for number, codec in enumerate(CODECS):
        part = messages[number * quarter : (number + 1) * quarter]
        assert {message.partition for message in part} == {0, 1, 2}
        await deployment.produce(part, compression=codec)
    worker = await deployment.worker().until_ready()
    await deployment.until_done()

    topics = await Topics.read(deployment)
    assert len(topics.raw) == len(messages)
    verify(topics)
    assert await worker.terminate() == 0
