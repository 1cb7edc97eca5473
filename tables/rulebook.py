"""The rules of a whole deployment: the default ones, and what accounts and courses have of their own.

A book never changes. Everything is resolved when it is made, so that asking it costs a look-up.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import orjson

from tables.parameters import DEFAULT_RULES, Rules


@dataclass(frozen=True)
class AccountRules:
    """The rules of one root account."""

    rules: Rules
    """Of every course that has none of its own."""
    courses: Mapping[str, Rules] = field(default_factory=lambda: MappingProxyType({}))
    """By course id; whole, with what is inherited in them."""


@dataclass(frozen=True)
class Rulebook:
    """Which rules apply where."""

    default: Rules = DEFAULT_RULES
    accounts: Mapping[str, AccountRules] = field(default_factory=lambda: MappingProxyType({}))
    """By the root account's uuid; only those that have rules of their own."""

    def for_course(self, root_account_uuid: str, course_id: str | None) -> Rules:
        """Return the rules of a course; without one, those of the account."""
        account = self.accounts.get(root_account_uuid)
        if account is None:
            return self.default
        return account.rules if course_id is None else account.courses.get(course_id, account.rules)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that are the same for all files that mean the same.

        They are the first of a SHA-256 over the default rules and what accounts and courses change of them,
        as JSON with sorted keys. Defaults count, written down or not: other defaults, another digest.
        """
        whole = {"default": self.default.model_dump(), "accounts": self.changes()}
        return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def changes(self) -> dict[str, Any]:
        """Return what differs from what is inherited.

        By account: `{rule: {parameter: value}, "courses": {course_id: {rule: {parameter: value}}}}`.
        """
        accounts = {}
        for uuid, account in self.accounts.items():
            changed: dict[str, Any] = changes(self.default, account.rules)
            courses = _filled((id_, changes(account.rules, rules)) for id_, rules in account.courses.items())
            accounts[uuid] = {**changed, "courses": courses} if courses else changed
        return _filled(accounts.items())


DEFAULT_RULEBOOK = Rulebook()


def changes(inherited: Rules, rules: Rules) -> dict[str, dict[str, Any]]:
    """Return what rules set differently from those that they inherit from: `{rule: {parameter: value}}`."""
    return _filled(
        (name, {one: value for one, value in parameters if value != getattr(before, one)})
        for (name, before), (_, parameters) in zip(inherited, rules, strict=True)
    )


def _filled(pairs: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {name: content for name, content in pairs if content}
