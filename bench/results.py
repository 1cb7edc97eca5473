"""The results file: its shape, the ratios in it, and what moved between two of them."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from bench.stats import ratio

PEERS: Final = ("quix", "kafka_streams")
#: A ratio that changed by more than so many percent is said to have moved.
MOVED_PERCENT: Final = 20.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Throughput(_Part):
    """Events per second, raw events counted; None: not measured."""

    gradewatch: float | None = None
    quix: float | None = None
    kafka_streams: float | None = None
    faust_idiomatic: float | None = None
    limit: float | None = None


class Percentiles(_Part):
    """Milliseconds."""

    p50: float
    p99: float


class Latency(_Part):
    """From a raw event's sending to its alert's arrival."""

    gradewatch: Percentiles | None = None
    quix: Percentiles | None = None
    kafka_streams: Percentiles | None = None


class Restore(_Part):
    """Keys per second."""

    gradewatch: float | None = None
    kafka_streams: float | None = None


class Results(_Part):
    """What `bench/results.json` and `bench/quick.json` hold."""

    grades: Throughput = Throughput()
    firehose: Throughput = Throughput()
    latency_ms: Latency = Latency()
    restore_keys_per_s: Restore = Restore()
    rss_mib_1m_student_courses: float | None = None
    cores: int | None = None
    date: str | None = None

    def stamped(self) -> "Results":
        """Return the same with this machine's cores and today's date."""
        return self.model_copy(update={"cores": os.cpu_count(), "date": datetime.now(UTC).date().isoformat()})

    def merged(self, newer: "Results") -> "Results":
        """Return the same with all that the newer results have."""
        return Results.model_validate(_merged(self.model_dump(), newer.model_dump()))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            both[name] = _merged(old[name], value)
        elif value is not None:
            both[name] = value
    return both


def load(path: Path) -> Results:
    """Return the results in a file; empty ones where there is none."""
    return Results.model_validate_json(path.read_bytes()) if path.exists() else Results()


def save(path: Path, results: Results) -> None:
    """Write results, rounded to what was measured."""
    path.write_bytes(orjson.dumps(_rounded(results.model_dump()), option=orjson.OPT_INDENT_2) + b"\n")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value) if value >= 1000 else round(value, 1)
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return value


def fastest_peer(part: Throughput) -> float | None:
    """Return the speed of the faster of Quix Streams and Kafka Streams."""
    known = [eps for peer in PEERS if (eps := getattr(part, peer)) is not None]
    return max(known, default=None)


def ratios(part: Throughput) -> dict[str, float]:
    """Return Gradewatch's speed as a multiple of each other contender's, where both were measured."""
    others = {name: getattr(part, name) for name in Throughput.model_fields if name != "gradewatch"}
    found = {name: ratio(part.gradewatch, eps) for name, eps in others.items()}
    return {name: value for name, value in found.items() if value is not None}


class Move(NamedTuple):
    """One ratio in two results."""

    topic: str
    other: str
    accepted: float
    now: float

    @property
    def percent(self) -> float:
        """By how much it changed."""
        return 100 * (self.now / self.accepted - 1)

    @property
    def moved(self) -> bool:
        """Whether that is more than chance does."""
        return abs(self.percent) > MOVED_PERCENT


def moves(accepted: Results, now: Results) -> Iterator[Move]:
    """Yield each ratio that both results have."""
    for topic in ("grades", "firehose"):
        before, after = ratios(getattr(accepted, topic)), ratios(getattr(now, topic))
        for other in before.keys() & after.keys():
            yield Move(topic, other, before[other], after[other])
