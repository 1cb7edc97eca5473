"""The four events of the Canvas documentation, as they stand there, through the whole of it."""

import json
from pathlib import Path

from models.snapshots import decode_snapshot
from tests.e2e.harness import Deployment, Raw
from tests.e2e.oracle import Topics, newest, verify

FIXTURES = Path(__file__).parent.parent / "fixtures" / "canvas"
EXAMPLES = [path.read_bytes() for path in sorted(FIXTURES.glob("documented_*.in.json"))]
EXPECTED = [json.loads(path.read_bytes()) for path in sorted(FIXTURES.glob("documented_*.out.json"))]


async def test_the_documented_events_come_out_as_typed_records(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = deployment.worker()
    await deployment.produce(Raw(value, n % 3) for n, value in enumerate(EXAMPLES))
    await worker.until_ready()
    await deployment.until_done()

    topics = await Topics.read(deployment)
    verify(topics)
    records = {record["type"]: record for record in (json.loads(m.value) for m in topics.records)}
    assert len(records) == len(EXAMPLES) == 4
    assert records == {each["record"]["type"]: each["record"] for each in EXPECTED}
    assert not topics.dead_letters

    # Three of them are about one student in one course.
    key = b"44fJ44GgJ29gJBsl43JLKgljsBIOTsbnKT48932g:2:2"
    snapshot = decode_snapshot(newest(topics.snapshots)[key])
    assert (snapshot.current_score, snapshot.final_score) == (17.31, 12.5)
    samples = await worker.samples()
    assert ("gradewatch_renamed_events_total", {}, 1.0) in samples
    assert await worker.terminate() == 0
