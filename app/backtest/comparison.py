"""What a second set of rules would add to the alerts of the first, and what it would take away.

An alert of the one and one of the other are the same when rule, status, student, course, subject and event
are: then they have the same id. Both sets judge the same event at the same time, so they are compared there
and then, and nothing has to be remembered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from models.alerts import Status
from tables.cases import AlertDraft


@dataclass(slots=True)
class Comparison:
    """Counts of alerts by rule and status."""

    same: Counter[tuple[str, Status]] = field(default_factory=Counter)
    added: Counter[tuple[str, Status]] = field(default_factory=Counter)
    """Sent by the second set of rules only."""
    removed: Counter[tuple[str, Status]] = field(default_factory=Counter)
    """Sent by the first set of rules only."""
    other_severity: Counter[tuple[str, Status]] = field(default_factory=Counter)
    """Of the same, those with another severity."""

    def take(self, _key: bytes, found: Sequence[Iterable[AlertDraft]]) -> None:
        """Compare what the first two sets of rules found in one record."""
        first, second = ({draft.alert_id: draft for draft in drafts} for drafts in found[:2])
        for alert_id, draft in first.items():
            what = (draft.rule, draft.status)
            other = second.pop(alert_id, None)
            if other is None:
                self.removed[what] += 1
                continue
            self.same[what] += 1
            if other.severity != draft.severity:
                self.other_severity[what] += 1
        self.added.update((draft.rule, draft.status) for draft in second.values())
