"""Every scenario in its quick form."""

import logging
from pathlib import Path

import pytest

from tests.faults.launcher import POINTS
from tests.faults.outcome import Scenario
from tests.faults.report import line
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Stage, play
from tests.kafka import KafkaBroker


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.in_tests],
    ids=lambda scenario: f"{scenario.number}-{scenario.title}",
)
async def test_it_ends_as_the_pure_functions_say(
    scenario: Scenario, kafka: KafkaBroker, tmp_path: Path
) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    outcome = await play(scenario.run, Stage(tmp_path, kafka, quick=True))
    print(line(scenario, outcome))  # noqa: T201
    assert outcome.failure is None
    assert outcome.differences == {}
    assert outcome.went_well, "nothing was compared"


def test_every_point_of_the_launcher_is_there() -> None:
    assert all(callable(getattr(owner, name)) for owner, name, _ in POINTS.values())
