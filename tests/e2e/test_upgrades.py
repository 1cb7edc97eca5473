"""A worker goes on from what an earlier release kept, and from nothing that a newer one wrote."""

import base64
from pathlib import Path

import orjson
import pytest

from tables.state import VERSION, encode_state
from tests.e2e.harness import Deployment, Raw
from tests.e2e.oracle import newest, partition_of
from tests.tables.recorded import Recording, recordings


def placed(rows: dict[bytes, bytes]) -> list[Raw]:
    return [Raw(value, partition_of(key), key) for key, value in rows.items()]


@pytest.mark.parametrize("file", recordings(), ids=lambda file: file.stem)
async def test_a_worker_goes_on_from_what_an_earlier_release_kept(deployment: Deployment, file: Path) -> None:
    await deployment.create_topics()
    topology = deployment.topology
    recording = Recording.load(file)
    await deployment.write(topology.scores_changelog, placed(recording.states))
    await deployment.write(topology.drops_changelog, placed(recording.drops))
    keys = [
        f"{record['root_account_uuid']}:{record['user_id']}"
        for record in map(orjson.loads, recording.records)
    ]
    await deployment.write(
        topology.records,
        [
            Raw(record, partition_of(key.encode()), key.encode())
            for key, record in zip(keys, recording.records, strict=True)
        ],
    )
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0

    shown = newest(await deployment.read(topology.snapshots))
    changed = {key for key in recording.snapshots if key in shown}
    assert changed
    for key in changed:
        assert orjson.loads(shown[key]) == orjson.loads(recording.snapshots[key])
    alerts = [*await deployment.read(topology.alerts), *await deployment.read(topology.staff_alerts)]
    assert sorted(orjson.loads(alert.value)["alert_id"] for alert in alerts) == sorted(recording.alert_ids)
    # What is kept now equals what the same records make of it without Kafka.
    assert newest(await deployment.read(topology.scores_changelog)) == {
        key: encode_state(state) for key, state in recording.go_on().states.items()
    }


@pytest.mark.parametrize("which", ["scores_changelog", "drops_changelog"])
async def test_what_a_newer_release_kept_is_refused_before_anything_is_done(
    deployment: Deployment, which: str
) -> None:
    await deployment.create_topics()
    recording = Recording.load(recordings()[-1])
    rows = recording.states if which == "scores_changelog" else recording.drops
    newer = {key: bytes([VERSION + 1]) + value[1:] for key, value in rows.items()}
    await deployment.write(getattr(deployment.topology, which), placed(newer))
    await deployment.produce([Raw(b"{", 0)])
    worker = deployment.worker()
    assert await worker.until_ended() == 1
    assert f"has format {VERSION + 1}, but this release reads formats up to {VERSION}" in worker.output
    assert "a newer release wrote it" in worker.output
    assert "Traceback" not in worker.output
    assert worker.logged("worker.ready") == []
    assert await deployment.read(deployment.topology.dead_letters) == []
    for row in rows.values():
        assert base64.b64encode(row).decode() not in worker.output
