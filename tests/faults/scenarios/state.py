"""8: the local copy of the tables is gone, damaged, somebody else's, or can't be written."""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from models.records import decode_record
from tables.state import encode_state
from tests.clients import admin_client, create_topic
from tests.e2e.events import by_student, semester
from tests.e2e.harness import GRADEWATCH, Deployment, Raw, Worker
from tests.e2e.oracle import Topics, newest
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, configure, finish
from tests.tables.recorded import Work

#: How large a file a worker with a full disk may write; its tables soon need more.
FULL_KIB: Final = 96

Spoil = Callable[[Deployment, Path], Awaitable[None]]


def _events(stage: Stage) -> list[Raw]:
    return list(by_student(semester(80, 2_000 if stage.quick else 40_000), 80))


async def _spoiled(
    stage: Stage, deployment: Deployment, spoil: Spoil, *, refused: str | None, killed: bool = False
) -> Outcome:
    """Stop a worker, spoil its folder, and start it again; where it refuses, remove the folder as it says.

    One that is killed leaves what it wrote last in RocksDB's log, which a clean stop empties.
    """
    outcome = Outcome()
    events = _events(stage)
    half = len(events) // 2
    worker = await deployment.worker("one").until_ready()
    await deployment.produce(events[:half])
    if killed:
        await deployment.until_done()
        await worker.kill()
        outcome.kills += 1
    else:
        await finish(deployment, worker)
    folder = deployment.folder / "one-data" / deployment.app_id
    assert folder.is_dir(), f"no tables in {folder}"
    await spoil(deployment, folder)
    await deployment.produce(events[half:])
    if refused is not None:
        worker = deployment.worker("one")
        assert await worker.until_ended() == 1, "the worker did not end with 1"
        assert refused in worker.output, f"the worker did not say {refused!r}"
        assert "emove that folder" in worker.output
        assert "Traceback" not in worker.output
        shutil.rmtree(folder)
        outcome.notes.append("refused with a sentence; went on without the folder")
    await finish(deployment, await deployment.worker("one").until_ready())
    outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
    return outcome


def _damage(pattern: str, how: Callable[[Path], None]) -> Spoil:
    """Damage all files of a name."""

    async def spoil(_: Deployment, folder: Path) -> None:
        damage(folder)

    def damage(folder: Path) -> None:
        files = [file for file in folder.rglob(pattern) if file.stat().st_size > 1]
        assert files, f"no {pattern} in {folder}"
        for file in files:
            how(file)

    return spoil


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _turn_bits(file: Path) -> None:
    """Turn the bits of a byte over, which leaves the size as it was."""
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(content)


async def wiped(stage: Stage) -> Outcome:
    """Remove the folder: all of it comes back from the changelog."""

    async def spoil(_: Deployment, folder: Path) -> None:
        shutil.rmtree(folder)

    async with stage.deployment() as deployment:
        return await _spoiled(stage, deployment, spoil, refused=None)


async def damaged(stage: Stage) -> Outcome:
    """Cut RocksDB's files or change them: it falls back to where they are whole, or says what is wrong."""
    outcome = Outcome()
    for pattern, how, refused, killed in (
        ("CURRENT", _cut, "Corruption: CURRENT file", False),
        ("*.sst", _cut, "Corruption: Sst file size mismatch", False),
        ("*.sst", _turn_bits, "Corruption: block checksum mismatch", False),
        ("MANIFEST-*", _cut, None, False),
        ("*.log", _cut, None, True),
        ("*.log", _turn_bits, None, True),
    ):
        stage.say(pattern)
        async with stage.deployment() as deployment:
            found = await _spoiled(stage, deployment, _damage(pattern, how), refused=refused, killed=killed)
        outcome.kills += found.kills
        outcome.compared |= found.compared
        outcome.differences |= {part: f"{pattern}: {text}" for part, text in found.differences.items()}
        what = f"{pattern} {'cut' if how is _cut else 'changed'}"
        outcome.notes.append(f"{what}: {'refused' if refused else 'older, but whole'}")
    return outcome


async def of_another_worker(stage: Stage) -> Outcome:
    """Give a worker the folder of another one of the same deployment, from some time ago."""
    outcome = Outcome()
    events = _events(stage)
    half = len(events) // 2
    async with stage.deployment() as deployment:
        await deployment.produce(events[:half])
        await finish(deployment, await deployment.worker("one").until_ready())
        shutil.copytree(deployment.folder / "one-data", deployment.folder / "two-data")
        await deployment.produce(events[half:])
        await finish(deployment, await deployment.worker("one").until_ready())
        await deployment.produce(events)
        await finish(deployment, await deployment.worker("two").until_ready())
        outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
    return outcome


async def of_another_cluster(stage: Stage) -> Outcome:
    """Give a worker the folder that was made on another cluster under the same names."""

    async def spoil(deployment: Deployment, folder: Path) -> None:
        with stage.own_kafka(cluster_id="anotherclusteroftests1") as other:
            elsewhere = Deployment(
                other.bootstrap,
                deployment.topology.raw.name.removesuffix("raw-events"),
                deployment.app_id,
                stage.folder / "elsewhere",
            )
            elsewhere.folder.mkdir()
            await elsewhere.create_topics()
            await elsewhere.produce(by_student(semester(81, 1_000), 81))
            await finish(elsewhere, await elsewhere.worker("one").until_ready())
            elsewhere.close()
        shutil.rmtree(folder)
        shutil.copytree(elsewhere.folder / "one-data" / deployment.app_id, folder)

    async with stage.deployment() as deployment:
        return await _spoiled(stage, deployment, spoil, refused="are not of app id")


async def changelog_gone(stage: Stage) -> Outcome:
    """Delete the changelog and make it anew while the local copy stays: it is not taken for the new one's."""
    outcome = Outcome(compares_nothing=True)
    events = _events(stage)
    half = len(events) // 2
    async with stage.deployment() as deployment:
        await deployment.produce(events[:half])
        await finish(deployment, await deployment.worker("one").until_ready())
        before = await deployment.ends(deployment.topology.records)
        spec = deployment.topology.scores_changelog
        async with admin_client(deployment.bootstrap) as admin:
            await admin.delete_topics([spec.name])
        await create_topic(deployment.bootstrap, spec.name, spec.partitions, spec.config())
        worker: Worker = deployment.worker("one")
        assert await worker.until_ended() == 1, "the worker did not end with 1"
        assert "have rows that their changelog does not have" in worker.output
        assert worker.logged("worker.ready") == []
        shutil.rmtree(deployment.data_dir("one") / deployment.app_id)
        worker = await deployment.worker("one").until_ready()
        await deployment.produce(events[half:])
        await finish(deployment, worker)  # not before all is committed
        # It is as if nobody had been graded before: what is kept is what came since.
        work = Work({}, {})
        for message in await deployment.read(deployment.topology.records):
            if message.offset >= before[TopicPartition(message.topic, message.partition)]:
                work.take(decode_record(message.value))
        must = {key: encode_state(state) for key, state in work.states.items()}
        table = newest(await deployment.read(spec))
        assert table == must, f"{len(must)} students were expected, {len(table)} found, or some differ"
    outcome.notes.append(
        f"refused with a sentence; went on without the folder, with what came since and nothing from before, "
        f"{len(must)} students"
    )
    return outcome


async def changelog_cut(stage: Stage) -> Outcome:
    """Remove of the changelog what the local copy lacks first: part of it is not taken for the whole."""
    outcome = Outcome(compares_nothing=True)
    events = _events(stage)
    half = len(events) // 2
    async with stage.deployment() as deployment:
        spec = deployment.topology.scores_changelog
        await deployment.produce(events[:half])
        await finish(deployment, await deployment.worker("one").until_ready())
        local = await deployment.ends(spec)
        await deployment.produce(events[half:])
        await finish(deployment, await deployment.worker("two").until_ready())
        ends = await deployment.ends(spec)
        cuts = {partition: (local[partition] + ends[partition]) // 2 for partition in ends}
        assert all(local[partition] < cut < ends[partition] for partition, cut in cuts.items())
        # A broker removes nothing of a topic that is compacted only.
        await configure(deployment, spec.name, {**spec.config(), "cleanup.policy": "compact,delete"})
        async with admin_client(deployment.bootstrap) as admin:
            await admin.delete_records({p: RecordsToDelete(before_offset=cut) for p, cut in cuts.items()})
        await configure(deployment, spec.name, spec.config())
        worker = deployment.worker("one")
        assert await worker.until_ended() == 1, "the worker did not end with 1"
        assert "rows of a table are gone" in worker.output
        assert "another GRADEWATCH_APP_ID" in worker.output
        assert "Traceback" not in worker.output
        assert worker.logged("worker.ready") == []
    outcome.notes.append("refused with a sentence")
    return outcome


async def full_disk(stage: Stage) -> Outcome:
    """Let no file of a worker grow beyond a limit, as on a full disk: it ends, and nothing is lost."""
    outcome = Outcome()
    events = list(by_student(semester(82, 8_000 if stage.quick else 40_000), 82))
    async with stage.deployment() as deployment:
        limited = f"ulimit -f {FULL_KIB} && exec '{GRADEWATCH}' worker"
        worker = await deployment.worker("one", command=("bash", "-c", limited)).until_ready()
        await deployment.produce(events)
        assert await worker.until_ended() == 1, "the worker did not end with 1"
        assert "See that the disk of" in worker.output
        assert "Traceback" not in worker.output
        # With room again it goes on, on the same folder.
        await finish(deployment, await deployment.worker("one").until_ready())
        outcome.compare(await Topics.read(deployment), repeats_allowed=True, students_in_order=True)
    return outcome


async def read_only(stage: Stage) -> Outcome:
    """Take the right to write from the whole folder, or from the tables in it: the worker says which."""
    outcome = Outcome()
    events = _events(stage)
    half = len(events) // 2
    async with stage.deployment() as deployment:
        await deployment.produce(events[:half])
        await finish(deployment, await deployment.worker("one").until_ready())
        await deployment.produce(events[half:])
        data = deployment.folder / "one-data"
        for folder, code, sentence in (
            (data, 2, f"GRADEWATCH_DATA_DIR is {str(data)!r}, where no files can be made: Permission denied"),
            (data / deployment.app_id, 1, "See that the disk of"),
        ):
            stage.say(folder.name)
            with _without_the_right_to_write(folder):
                worker = deployment.worker("one", command=(*_BOUND_BY_PERMISSIONS, GRADEWATCH, "worker"))
                assert await worker.until_ended() == code, f"the worker did not end with {code}"
                assert sentence in worker.output, f"the worker did not say {sentence!r}"
                assert "Traceback" not in worker.output
        await finish(deployment, await deployment.worker("one").until_ready())
        outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
    outcome.notes.append("refused with a sentence; went on when it could write again")
    return outcome


#: Root writes everywhere, unless it is without the capability to.
_BOUND_BY_PERMISSIONS: Final = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)


@contextmanager
def _without_the_right_to_write(folder: Path) -> Iterator[None]:
    before = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in before.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode)


SCENARIOS: Final = (
    Scenario(8, "State folder wiped", wiped, in_tests=False),
    Scenario(8, "State folder damaged", damaged, in_tests=False),
    Scenario(8, "State folder of another worker", of_another_worker, in_tests=False),
    Scenario(8, "State folder of another cluster", of_another_cluster),
    Scenario(8, "Changelog deleted, state kept", changelog_gone, in_tests=False),
    Scenario(8, "Changelog removed past the local copy", changelog_cut, in_tests=False),
    Scenario(8, "State folder on a full disk", full_disk),
    Scenario(8, "State folder is read-only", read_only),
)
