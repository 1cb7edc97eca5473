"""`gradewatch worker`: the service itself."""

import asyncio
import gc
import sys

import click
import uvloop

from app.cli import with_settings
from app.processes import run_processes
from app.settings import Settings
from app.worker import run_worker


@click.command(name="worker")
@click.option(
    "--reset-offsets",
    is_flag=True,
    help="Go on from the first message there is where messages were removed before they were read, as after "
    "an outage longer than the topic's retention. They are lost; without this the worker ends and says so.",
)
@with_settings
def command(settings: Settings, reset_offsets: bool) -> None:
    """Read Canvas events, keep the score tables, send alerts; until SIGTERM or Ctrl-C.

    Ends with 0 when it was told to stop and has committed all it did; with 1 when it could not start or go
    on, without committing what is not safe, so that the next start repeats it.
    """
    if settings.processes > 1:
        sys.exit(run_processes(settings))
    # What is loaded by now stays; and what a chunk makes is mostly gone with it, without any cycles, so that
    # looking at it every 700 objects (Python's default) costs a tenth of the time and finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_worker(settings, reset_offsets=reset_offsets))
