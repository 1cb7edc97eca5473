"""Several processes for one worker: Python runs one thread at a time, so each takes a core of its own.

They are ordinary workers of the same group, each with a folder and a port of its own. This process only
starts them, hands signals on, and ends all when one ends.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from app.children import start_child
from app.logs import logger
from app.settings import Settings

log = logger()


def environments(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Yield what each process's environment has other than this one's.

    The first keeps the folder and the port as they are set, so that nothing moves when there are more.
    """
    for number in range(settings.processes):
        own = {"GRADEWATCH_PROCESSES": "1"}
        if number:
            own["GRADEWATCH_DATA_DIR"] = str(settings.data_dir / f"process-{number}")
            own["GRADEWATCH_WEB_PORT"] = str(settings.web_port and settings.web_port + number)
        if settings.instance_id is not None:
            own["GRADEWATCH_INSTANCE_ID"] = f"{settings.instance_id}-{number}"
        yield own


def run_processes(settings: Settings) -> int:
    """Run this program once for each process; return the exit code, 0 only when all ended with that."""
    command = [sys.executable, *sys.argv]
    children = [start_child(command, env={**os.environ, **own}) for own in environments(settings)]
    return asyncio.run(_watch(children))


async def _watch(children: Sequence[subprocess.Popen[bytes]]) -> int:
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    loop.add_signal_handler(signal.SIGHUP, _hand_on, children, signal.SIGHUP)
    ends = [asyncio.create_task(asyncio.to_thread(child.wait)) for child in children]
    # Where one ends by itself, whoever is left would take its partitions over, and nobody would see that half
    # of the worker is gone.
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({stopping, *ends}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    # Once only: a process that is nearly done takes a second signal as Python does by default.
    _hand_on(children, signal.SIGTERM)
    codes = await asyncio.gather(*ends)
    log.info("processes.ended", codes=codes)
    # A signal's number is negative here.
    return next((code if code > 0 else 1 for code in codes if code), 0)


def _hand_on(children: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)
