"""What a scenario is and what it finds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.e2e.oracle import PARTS, Repeats, Topics, examine

if TYPE_CHECKING:
    from tests.faults.stage import Stage


@dataclass
class Outcome:
    """What one scenario found; it went well when something was compared and nothing differs or failed."""

    #: How often a process was ended or suspended by force.
    kills: int = 0
    repeats: Repeats = field(default_factory=Repeats)
    #: Which of PARTS were compared with what the pure functions say.
    compared: set[str] = field(default_factory=set)
    #: By part, the first difference in words.
    differences: dict[str, str] = field(default_factory=dict)
    #: What else there is to say, a few words each.
    notes: list[str] = field(default_factory=list)
    #: Why the scenario itself could not be held, in words.
    failure: str | None = None
    #: Whether nothing is compared on purpose: what is to come out is then looked at by the scenario itself.
    compares_nothing: bool = False
    seconds: float = 0.0

    @property
    def went_well(self) -> bool:
        """Whether all that was compared is equal, and something was unless that is on purpose."""
        return self.failure is None and not self.differences and bool(self.compared or self.compares_nothing)

    def compare(self, topics: Topics, **how: Any) -> None:
        """Hold all topics against the oracle, and add what differs and what is there repeatedly.

        `how` are `examine`'s: repeats_allowed, students_in_order, book.
        """
        found = examine(topics, **how)
        self.compared.update(found.compared)
        for part, difference in found.differences.items():
            self.differences.setdefault(part, difference)
        self.repeats += found.repeats

    def equality(self, part: str) -> str:
        """Return a part's place in the table: equal, differs, or a dash where it was not compared."""
        if part in self.differences:
            return "differs"
        return "equal" if part in self.compared else "-"

    def as_json(self) -> dict[str, Any]:
        """Return everything under the names of the fields."""
        return {
            "went_well": self.went_well,
            "kills": self.kills,
            "repeated": vars(self.repeats),
            "parts": {part: self.equality(part) for part in PARTS},
            "differences": self.differences,
            "failure": self.failure,
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Scenario:
    """One thing that may go wrong, and how it is made to."""

    number: int
    title: str
    run: "Callable[[Stage], Awaitable[Outcome]]"
    #: Whether its quick form belongs to `make test`.
    in_tests: bool = True
