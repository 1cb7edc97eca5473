"""A worker of several processes is one to whoever starts and stops it."""

import os
import signal

from tests.e2e.events import anywhere, semester
from tests.e2e.harness import Deployment
from tests.e2e.oracle import Topics, verify


async def test_two_processes_share_the_work_and_stop_as_one(deployment: Deployment) -> None:
    await deployment.create_topics()
    await deployment.produce(anywhere(semester(31, 6_000), seed=31))
    worker = deployment.worker(processes="2")
    await worker.until_logged("worker.ready", times=2)
    await deployment.until_done()
    assert await worker.terminate() == 0
    assert len(worker.logged("worker.stopped")) == 2
    assert worker.logged("processes.ended")[0]["codes"] == [0, 0]
    shares = [entry["partitions"] for entry in worker.logged("worker.ready")]
    assert all(shares), "both have partitions"
    assert (deployment.data_dir("worker") / "process-1").is_dir()
    verify(await Topics.read(deployment))


async def test_where_one_process_ends_the_worker_ends_with_its_code(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = deployment.worker(processes="2")
    await worker.until_logged("worker.ready", times=2)
    first, _ = _children(worker.pid)
    os.kill(first, signal.SIGKILL)
    assert await worker.until_ended() == 1
    assert sorted(worker.logged("processes.ended")[0]["codes"]) == [-signal.SIGKILL, 0]


async def test_processes_do_not_outlive_a_worker_that_is_killed(deployment: Deployment) -> None:
    await deployment.create_topics()
    worker = deployment.worker(processes="2")
    await worker.until_logged("worker.ready", times=2)
    children = _children(worker.pid)
    await worker.kill()
    assert not [pid for pid in children if _runs(pid)]


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123 (a file of the kernel's)
        return [int(child) for child in children.read().split()]


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
