"""Whether the worker gets on: what an agent does too long, though nothing but itself is in its way.

An agent that waits for its broker is not stuck; how long that may take has limits of its own. One that has
had the same chunk in hand for longer than the deadline is: first the worker is not ready, then not alive,
then it ends. A Python that does not come back to its event loop at all can't tell any of that, so a thread
outside of it ends the process in the same time.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from collections.abc import Callable
from typing import Final

READY_FOR: Final = 0.5
"""The part of the deadline after which the worker is not ready."""
ENDS_AFTER: Final = 1.5
"""How many deadlines after the beginning the worker ends; time for a probe to see why."""

LEAST_SECONDS: Final = 5.0
"""However short the deadline: time to say why the worker ends, and to let go of its clients."""


class Progress:
    """Counts for how long a chunk has been in hand, the time that the broker took left out."""

    def __init__(self, deadline_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._chunk: object = None
        self._seen_at = clock()
        self.seconds = 0.0

    def look(self, chunk: object, *, waits_for_broker: bool) -> None:
        """Note which chunk has been in hand longest (None: none is), and whether the broker holds it up."""
        now = self._clock()
        if chunk is None or chunk is not self._chunk:
            self.seconds = 0.0
        elif not waits_for_broker:
            self.seconds += now - self._seen_at
        self._chunk, self._seen_at = chunk, now

    @property
    def slow(self) -> bool:
        """Whether the worker should not count as ready."""
        return self.seconds > READY_FOR * self._deadline_seconds

    @property
    def stalled(self) -> bool:
        """Whether the worker should not count as alive."""
        return self.seconds > self._deadline_seconds

    @property
    def over(self) -> bool:
        """Whether the worker should end."""
        return self.seconds > ENDS_AFTER * self._deadline_seconds


class Watchdog:
    """Ends the process with 1, and prints where each thread was, unless it's fed in time.

    It lives outside of Python's interpreter, so an endless loop doesn't keep it from that. What it prints has
    names of files and functions and no values.
    """

    def __init__(self, deadline_seconds: float) -> None:
        self._seconds = max(LEAST_SECONDS, ENDS_AFTER * deadline_seconds)
        self._every_seconds = min(1.0, deadline_seconds / 4)
        self._fed_at: float | None = None

    def feed(self) -> None:
        """Start the time anew; cheap enough to be called often."""
        now = time.monotonic()
        if sys.__stderr__ is None or (self._fed_at is not None and now - self._fed_at < self._every_seconds):
            return
        self._fed_at = now
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__)

    def put_away(self) -> None:
        """Let the process take as long as it likes."""
        faulthandler.cancel_dump_traceback_later()
