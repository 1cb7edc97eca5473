"""The same on the embedded broker: what the demo shows is what Kafka gives."""

from pathlib import Path

from app.embedded import EmbeddedBroker
from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, verify


async def test_a_semester_with_a_restart_comes_out_as_the_pure_functions_say(
    embedded_broker: EmbeddedBroker, topic_prefix: str, app_id: str, tmp_path: Path
) -> None:
    deployment = Deployment(embedded_broker.bootstrap, topic_prefix, app_id, tmp_path)
    try:
        await deployment.create_topics()
        messages = list(anywhere(semester(61, 2_000), seed=61))
        for part in (messages[:1_000], messages[1_000:]):
            worker = await deployment.worker().until_ready()
            await deployment.produce(part)
            await deployment.until_done()
            assert await worker.terminate() == 0
        verify(await Topics.read(deployment))
    finally:
        deployment.close()
