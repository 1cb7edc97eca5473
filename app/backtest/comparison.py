"""What a second set of rules would add to the alerts of the first, and what it would take away.

An alert of the one and one of the other are the same when rule, status, student, course, subject and event
are: then they have the same id. Both sets judge the same event at the same time, so they are compared there
and then. Only an alert about a whole course, which no single event leads to, may come from the one earlier
than from the other, and has to be remembered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from models.alerts import Status
from tables.cases import AlertDraft

What: TypeAlias = tuple[str, Status]
"""Rule and status of an alert."""


@dataclass(slots=True)
class Comparison:
    """Counts of alerts by rule and status."""

    same: Counter[What] = field(default_factory=Counter)
    added: Counter[What] = field(default_factory=Counter)
    """Sent by the second set of rules only."""
    removed: Counter[What] = field(default_factory=Counter)
    """Sent by the first set of rules only."""
    other_severity: Counter[What] = field(default_factory=Counter)
    """Of the same, those with another severity."""
    _unmatched: tuple[dict[str, AlertDraft], dict[str, AlertDraft]] = field(default_factory=lambda: ({}, {}))
    """Of the first set of rules and of the second, by id: those without an event."""

    def take(self, _key: bytes, found: Sequence[Iterable[AlertDraft]]) -> None:
        """Compare what the first two sets of rules found in one record."""
        first, second = ({draft.alert_id: draft for draft in drafts} for drafts in found[:2])
        for alert_id in first.keys() & second.keys():
            self._match(first.pop(alert_id), second.pop(alert_id))
        for place, drafts in enumerate((first, second)):
            for draft in drafts.values():
                self._note(draft, place)

    def _note(self, draft: AlertDraft, place: int) -> None:
        """Take an alert that the other set of rules has not sent by now."""
        only = (self.removed, self.added)
        what = (draft.rule, draft.status)
        other = self._unmatched[1 - place].pop(draft.alert_id, None)
        if other is not None:
            only[1 - place][what] -= 1
            self._match(draft, other)
            return
        only[place][what] += 1
        if draft.event_id is None:
            self._unmatched[place][draft.alert_id] = draft

    def _match(self, one: AlertDraft, other: AlertDraft) -> None:
        what = (one.rule, one.status)
        self.same[what] += 1
        self.other_severity[what] += one.severity != other.severity
