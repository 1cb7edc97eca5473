"""All scenarios, by number. A new one is a file here and its name in this list."""

from typing import Final

from tests.faults.outcome import Scenario
from tests.faults.scenarios import (
    backlog,
    brokers,
    deleted,
    disorder,
    hostile,
    kills,
    limits,
    refused,
    state,
    stops,
    tested,
    workers,
    zombies,
)

_FILES: Final = (
    kills,
    stops,
    zombies,
    workers,
    brokers,
    refused,
    backlog,
    deleted,
    hostile,
    disorder,
    state,
    limits,
    tested,
)

SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    sorted((scenario for file in _FILES for scenario in file.SCENARIOS), key=lambda scenario: scenario.number)
)
