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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

OURS = "gradewatch"
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
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(log_level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO if log_level == "debug" else logging.WARNING)
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
def held_back(name: str) -> Iterator[list[str]]:
    """Keep what the library logger `name` says inside the block from being printed, and collect it.

    For what a library only tells its log, such as why a connection failed.
    """
    messages: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            messages.append(record.getMessage())
        return False

    library = logging.getLogger(name)
    library.addFilter(collect)
    try:
        yield messages
    finally:
        library.removeFilter(collect)
