"""Errors that a person caused or can mend: shown as a sentence, never as a traceback."""

from __future__ import annotations

from typing import ClassVar


class GradewatchError(Exception):
    """Something failed; the text says what and, where known, what to do. One line per problem."""

    exit_code: ClassVar[int] = 1


class SettingsError(GradewatchError):
    """The configuration is wrong."""

    exit_code = 2


class BrokerError(GradewatchError):
    """The broker could not be reached, or refused what was asked of it."""


class TopicsError(GradewatchError):
    """Topics are missing or not as they must be."""
