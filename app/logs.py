"""Structured logs to stderr: an event's name and its fields, for people or as one JSON object per line.

Everything goes the same way, the libraries' own logging included, so that one line never looks different
from the next. Times are UTC. No personal data: fields are counts, names of topics and reasons, never a
message's key or value. That is also why libraries are not logged below info: aiokafka prints whole requests
at debug.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

from engine.errors import EngineError

if TYPE_CHECKING:
    from structlog.typing import Processor

OURS = "gradewatch"
_MOST_KINDS = 1_000
"""Bounds what is remembered of messages; far more than there are texts in the code."""
_LIBRARIES = ("aiokafka", "faust", "mode", "aiohttp", "asyncio", "py.warnings")


def configure(log_format: Literal["console", "json"], log_level: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr by default); may be called again, the last call counts.

    `log_level` is for our own logs; libraries are logged from warning on, or from info when it is "debug".
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format, stream),
            ],
        )
    )
    root = logging.getLogger()
    handler.addFilter(Repetition())
    handler.addFilter(_is_said_elsewhere)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(log_level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO if log_level == "debug" else logging.WARNING)
    # Under load a flush takes longer than the interval between two; the metrics tell, and nothing is wrong.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _is_said_elsewhere(record: logging.LogRecord) -> bool:
    """Let everything through but a library's traceback of what ends the worker with a sentence."""
    return not (record.exc_info and isinstance(record.exc_info[1], EngineError))


class Repetition(logging.Filter):
    """Lets each warning and error through once in a while: an unreachable broker makes a hundred a second.

    Those of libraries are of one kind when they were made from the same text, ours when all that is not a
    number is the same. The next one that goes through says how many did not (`repeated`).
    """

    def __init__(self, every_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_seconds = every_seconds
        self._clock = clock
        self._last: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record goes through, and note on it how many like it did not."""
        if record.levelno < logging.WARNING:
            return True
        kind = (record.name, record.levelno, _text_of(record))
        now = self._clock()
        last, held_back = self._last.get(kind, (None, 0))
        if last is not None and now - last < self._every_seconds:
            self._last[kind] = (last, held_back + 1)
            return False
        if len(self._last) >= _MOST_KINDS:
            self._last.clear()
        self._last[kind] = (now, 0)
        if held_back:
            if isinstance(record.msg, dict):  # one of ours, its fields still apart
                record.msg = {**record.msg, "repeated": held_back}
            else:
                record.repeated = held_back
        return True


def _text_of(record: logging.LogRecord) -> str:
    if not isinstance(record.msg, dict):
        return str(record.msg)
    fields = {name: value for name, value in record.msg.items() if name != "timestamp"}
    return repr([(name, value) for name, value in fields.items() if not isinstance(value, int | float)])


def _renderers(log_format: str, stream: TextIO) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    colours = stream.isatty() and "NO_COLOR" not in os.environ
    # The default shows every frame's local variables, and those hold students' grades.
    return [
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        )
    ]


def logger() -> structlog.stdlib.BoundLogger:
    """Return our logger, to be called with an event's name and fields: `info("worker.ready", tasks=8)`."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(OURS)
    return log


@contextmanager
def held_back(*names: str) -> Iterator[list[logging.LogRecord]]:
    """Keep what these library loggers say inside the block from being printed; collect warnings and errors.

    For what a library only tells its log, such as why a connection failed.
    """
    said: list[logging.LogRecord] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            said.append(record)
        return False

    libraries = [logging.getLogger(name) for name in names]
    for library in libraries:
        library.addFilter(collect)
    try:
        yield said
    finally:
        for library in libraries:
            library.removeFilter(collect)
