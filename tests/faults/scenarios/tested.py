"""Those that are tests: each is played by pytest, and is a row of the table like the others."""

import asyncio
import contextlib
import os
import sys
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage

#: What `make test` plays the tests in, too.
PROJECT: Final = Path(__file__).parents[3]


def tests(*files: str) -> Callable[[Stage], Awaitable[Outcome]]:
    """Return a scenario that plays the tests of these files, and goes well when all of them pass."""

    async def play(stage: Stage) -> Outcome:
        report = stage.folder / "tests.xml"
        command = (sys.executable, "-m", "pytest", "-q", "--color=no", f"--junitxml={report}", *files)
        # What is not installed is no reason to pass.
        environment = os.environ | {"CI": "true"}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=PROJECT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said = (await process.communicate())[0].decode(errors="replace")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        sys.stdout.write(said)
        outcome = Outcome(compares_nothing=True)
        if process.returncode != 0:
            outcome.failure = said.strip().rpartition("\n")[2] or f"pytest ended with {process.returncode}"
            return outcome
        passed, skipped = _counted(report)
        if skipped or not passed:
            outcome.failure = f"{passed} tests passed, {skipped} were skipped"
        outcome.notes.append(f"{passed} tests passed")
        return outcome

    return play


def _counted(report: Path) -> tuple[int, int]:
    """Return how many tests passed and how many were skipped, from a report without failures."""
    suites = ET.parse(report).getroot().findall("testsuite")  # noqa: S314 - pytest wrote it
    skipped = sum(int(suite.get("skipped", 0)) for suite in suites)
    return sum(int(suite.get("tests", 0)) for suite in suites) - skipped, skipped


SCENARIOS: Final = tuple(
    Scenario(number, title, tests(*files), in_tests=False)
    for number, title, files in (
        (9, "Offsets that are no longer there", ["tests/e2e/test_lost_offsets.py"]),
        (
            10,
            "Dead letters listed, shown, replayed",
            ["tests/e2e/test_dead_letters.py", "tests/e2e/test_replays.py"],
        ),
        (11, "State of another release", ["tests/tables/test_recorded.py", "tests/e2e/test_upgrades.py"]),
        (11, "Another number of partitions", ["tests/e2e/test_repartition.py"]),
        (13, "A stuck worker, and an idle one", ["tests/e2e/test_progress.py"]),
        (14, "TLS, SASL and ACLs", ["tests/security"]),
        (15, "Pages and who may see them", ["tests/app/test_web.py"]),
        (16, "A marker in every field", ["tests/e2e/test_privacy.py"]),
        (17, "Locked dependencies, the image", ["tests/deploy/test_lock.py"]),
    )
)
