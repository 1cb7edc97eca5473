"""The rules of a deployment: from the file that GRADEWATCH_RULES names, or as they are built in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.errors import SettingsError
from tables.rulebook import DEFAULT_RULEBOOK, Rulebook
from tables.rulesfile import Mistake, RulesFileError, read_rules


class RulesError(SettingsError):
    """The rules file is wrong: a line for each mistake, beginning with file and line."""

    def __init__(self, path: Path, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(f"{path}:{mistake}" for mistake in mistakes))
        self.mistakes = mistakes


def load_rules(path: Path | None) -> Rulebook:
    """Return the rules in a file; those that are built in when there is none.

    Raises RulesError with every mistake in the file, SettingsError when it can't be read.
    """
    if path is None:
        return DEFAULT_RULEBOOK
    try:
        return read_rules(path.read_text(encoding="utf-8-sig"))
    except RulesFileError as error:
        raise RulesError(path, error.mistakes) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a text in UTF-8.") from None
