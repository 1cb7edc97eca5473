"""`python -m bench [PART]…`: start a broker, measure, show, and keep the results. `make bench` calls it."""

import asyncio
import logging
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import orjson
import uvloop
from rich.console import Console

from bench import chart, report, results
from bench.broker import broker
from bench.launch import QUIX_PYTHON, STREAMS
from bench.parts import catchup, latency, memory, observed, restore, scale, throughput
from bench.processes import ContenderError
from bench.results import Results
from bench.session import Session, Sizes, progress_bars
from tests.kafka import ROOT, KafkaError, missing_requirement

PARTS = ("grades", "firehose", "latency", "restore", "memory", "scale", "catchup", "observed")
RESULTS = ROOT / "bench" / "results.json"
DETAILS = ROOT / "bench" / "details.json"
QUICK = ROOT / "bench" / "quick.json"
CHART = ROOT / "docs" / "images" / "bench.svg"

QUICK_SIZES = Sizes(rounds=1, grades=150_000, firehose=400_000)
QUICK_PARTS = ("grades", "firehose")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--quick", is_flag=True, help="Grades and firehose, once, with fewer events; compared, not kept."
)
@click.option("--rounds", type=click.IntRange(1, 20), help="Runs of each contender (3).")
@click.option(
    "--scale-by", type=click.FloatRange(0.001, 10), default=1.0, help="Multiplies all event counts."
)
@click.option("--keep/--discard", default=True, help="Whether to write the results file and the chart.")
def main(parts: tuple[str, ...], quick: bool, rounds: int | None, scale_by: float, keep: bool) -> None:
    """Measure Gradewatch beside its peers on this machine; all parts by default.

    Its own Apache Kafka runs on 127.0.0.1 in a temporary folder and is ended and removed with everything
    else. Results of parts that aren't measured now stay as they are in bench/results.json.
    """
    console = report.console()
    missing = missing_requirement() or _missing()
    if missing:
        raise click.ClickException(missing)
    # aiokafka warns about each topic that was deleted after its run.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    sizes = _scaled(QUICK_SIZES if quick else Sizes(), rounds, scale_by)
    chosen = parts or (QUICK_PARTS if quick else PARTS)
    try:
        found, details = _measure(chosen, sizes, console, quick=quick)
    except (ContenderError, KafkaError) as error:
        raise click.ClickException(str(error)) from error
    report.show(console, found, details)
    if quick:
        report.show_moves(console, results.load(RESULTS), found)
    if keep:
        _keep(found, details, quick=quick)


def _missing() -> str | None:
    for file in (QUIX_PYTHON, STREAMS / "contender.jar"):
        if not file.exists():
            return f"{file.relative_to(ROOT)} isn't there yet (run: make bench-contenders)"
    return None


def _scaled(sizes: Sizes, rounds: int | None, scale_by: float) -> Sizes:
    counts = ("grades", "firehose", "restored_students", "student_courses", "scale", "backlog")
    times = ("latency_warm_up_seconds", "latency_seconds")
    changed: dict[str, Any] = {name: int(getattr(sizes, name) * scale_by) for name in counts}
    changed |= {name: max(3.0, getattr(sizes, name) * min(1.0, scale_by)) for name in times}
    given = {name: getattr(sizes, name) for name in Sizes.__slots__}
    return Sizes(**{**given, **changed, "rounds": rounds or sizes.rounds})


def _measure(
    parts: tuple[str, ...], sizes: Sizes, console: Console, *, quick: bool
) -> tuple[Results, dict[str, Any]]:
    directory = Path(tempfile.mkdtemp(prefix="gradewatch-bench-"))
    try:
        with broker(directory / "kafka", quick=quick) as kafka, progress_bars(console) as progress:
            session = Session(kafka.bootstrap, directory, console, progress, sizes)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(_run_parts(session, parts, quick=quick))
            return found.stamped(), session.details
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run_parts(session: Session, parts: tuple[str, ...], *, quick: bool) -> Results:
    found: dict[str, Any] = {}
    for part in parts:
        match part:
            case "grades" | "firehose":
                contenders = throughput.QUICK_CONTENDERS if quick else throughput.CONTENDERS
                found[part] = await throughput.run(session, part, contenders)
            case "latency":
                found["latency_ms"] = await latency.run(session)
            case "restore":
                found["restore_keys_per_s"] = await restore.run(session)
            case "memory":
                found["rss_mib_1m_student_courses"] = await memory.run(session)
            case "scale":
                await scale.run(session)
            case "catchup":
                await catchup.run(session)
            case "observed":
                await observed.run(session)
    return Results(**found)


def _keep(found: Results, details: dict[str, Any], *, quick: bool) -> None:
    if quick:
        results.save(QUICK, found)
        return
    merged = results.load(RESULTS).merged(found)
    results.save(RESULTS, merged)
    chart.write(CHART, merged)
    kept = orjson.loads(DETAILS.read_bytes()) if DETAILS.exists() else {}
    for part, measured in details.items():
        # Throughput has a part for each topic; all others are measured whole.
        kept[part] = {**kept.get(part, {}), **measured} if part == "throughput" else measured
    kept["machine"] = _machine()
    kept["measured_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    DETAILS.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2) + b"\n")


def _machine() -> dict[str, Any]:
    packages = ("gradewatch", "faust-streaming", "aiokafka", "uvloop", "msgspec", "pydantic", "rocksdict")
    of_quix = subprocess.run(  # noqa: S603 - the environment that the benchmark made
        [str(QUIX_PYTHON), "-c", "from importlib.metadata import version; print(version('quixstreams'))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    streams = next((STREAMS / "libs").glob("kafka-streams-*.jar"))
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "quixstreams": of_quix.stdout.strip(),
        "kafka_streams": streams.stem.removeprefix("kafka-streams-"),
        "platform": platform.platform(terse=True),
    }


if __name__ == "__main__":
    sys.exit(main())
