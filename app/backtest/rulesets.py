"""The sets of rules that are tried on the events."""

from __future__ import annotations

from typing import NamedTuple

from tables.rulebook import DEFAULT_RULEBOOK, Rulebook

BUILT_IN = "built-in defaults"


class RuleSet(NamedTuple):
    """Rules under a name."""

    name: str = BUILT_IN
    """For people: the file's name, or that they are built in."""
    book: Rulebook = DEFAULT_RULEBOOK
