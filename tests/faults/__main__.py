"""`python -m tests.faults [NUMBER]…`: play the scenarios one after the other and show what came of them."""

import asyncio
import contextlib
import io
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from tests.faults.outcome import Outcome, Scenario
from tests.faults.report import line, show_table, verdict
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Stage, play
from tests.kafka import KafkaBroker, missing_requirement

PIPED_WIDTH = 160


@click.command()
@click.argument("numbers", nargs=-1, type=int)
@click.option("--quick", is_flag=True, help="The bounded form of each, as in `make test`.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the outcomes there as well."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the logs of failed scenarios there.")
def main(numbers: tuple[int, ...], quick: bool, json_file: Path | None, keep: Path | None) -> None:
    """Try what must not happen on a real Apache Kafka, and compare what comes out with the pure functions.

    NUMBER chooses scenarios, as docs/guarantees.md has them; all by default but 12, which is `make soak`.
    Those from 9 on that are tests are played by pytest. Ends with 1 if anything differs or fails.
    """
    missing = missing_requirement()
    if missing:
        raise click.ClickException(missing)
    chosen = [scenario for scenario in SCENARIOS if not numbers or scenario.number in numbers]
    unknown = set(numbers) - {scenario.number for scenario in SCENARIOS}
    if unknown:
        raise click.UsageError(
            f"there is no scenario {', '.join(map(str, sorted(unknown)))} here; 12 is `make soak`"
        )
    # aiokafka's clients here warn about brokers that the scenarios take away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    outcomes = asyncio.run(_play_all(chosen, quick=quick, keep=keep))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    show_table(console, outcomes)
    if json_file is not None:
        rows = [
            {"number": scenario.number, "title": scenario.title, **outcome.as_json()}
            for scenario, outcome in outcomes.items()
        ]
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
    if not all(outcome.went_well for outcome in outcomes.values()):
        raise SystemExit(1)


async def _play_all(
    scenarios: Sequence[Scenario], *, quick: bool, keep: Path | None
) -> dict[Scenario, Outcome]:
    console = Console(stderr=True)
    outcomes: dict[Scenario, Outcome] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gradewatch-faults-") as name,
        KafkaBroker(Path(name) / "kafka") as kafka,
    ):
        for index, scenario in enumerate(scenarios):
            folder = Path(name) / f"{index}"
            folder.mkdir()
            head = f"[{index + 1}/{len(scenarios)}] {scenario.number} {scenario.title}"
            status = console.status(head) if console.is_terminal else contextlib.nullcontext()
            with status as shown:

                def say(what: str, shown: object = shown, head: str = head) -> None:
                    if shown is not None:
                        shown.update(f"{head}: {what}")  # type: ignore[attr-defined]

                # What workers said is shown by their deployment; here it is kept for those that failed.
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    outcomes[scenario] = await play(scenario.run, Stage(folder, kafka, quick=quick, say=say))
            console.print(
                f"[{index + 1}/{len(scenarios)}] {line(scenario, outcomes[scenario])}",
                markup=False,
                soft_wrap=not console.is_terminal,
            )
            if keep is not None and verdict(outcomes[scenario]) != "ok":
                _keep(keep / f"{scenario.number}-{index}.log", said.getvalue())
            shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main(prog_name=f"{Path(sys.executable).name} -m tests.faults")
