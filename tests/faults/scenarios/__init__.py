"""All scenarios, by number. A new one is a file here and its name in this list."""

from typing import Final

from tests.faults.outcome import Scenario
from tests.faults.scenarios import kills, zombies

SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    sorted([*kills.SCENARIOS, *zombies.SCENARIOS], key=lambda scenario: scenario.number)
)
