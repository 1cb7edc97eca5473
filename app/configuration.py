"""Where settings come from: the environment, then the file given with `--config`, then the defaults.

In the environment a setting is called `GRADEWATCH_PARTITIONS`, in the file (TOML, flat keys) `partitions`.
A mistake is answered with a sentence that names the setting and says what would be right; a secret's value is
never part of one.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from app.errors import SettingsError
from app.settings import PREFIX, Settings, env_name

KUBERNETES_SERVICE_LINK: Final = re.compile(r"GRADEWATCH_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""What Kubernetes puts into every container beside a service that is called gradewatch; none is a setting."""


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """A setting as the documentation and `config show` present it."""

    name: str
    """Key in the file and attribute of `Settings`."""
    env: str
    group: str
    default: str
    """As one would write it; empty when there is none."""
    unit: str
    description: str
    right: str
    """What a right value looks like."""
    secret: bool


def describe() -> Iterator[SettingInfo]:
    """Yield every setting in the order in which they are declared."""
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        if not isinstance(extra, dict):
            raise TypeError(f"{name} is not declared with _setting()")
        yield SettingInfo(
            name=name,
            env=env_name(name),
            group=str(extra["group"]),
            default=show(field.default),
            unit=str(extra["unit"]),
            description=field.description or "",
            right=str(extra["right"]),
            secret="SecretStr" in repr(field.annotation),
        )


def show(value: object) -> str:
    """Return a value as one would write it in the environment; a secret masked, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


Source = Literal["default", "environment", "file"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where each one came from."""

    settings: Settings
    sources: Mapping[str, Source]
    warnings: tuple[str, ...]
    """Sentences about what was found and not used."""


def load(config_file: Path | None = None) -> Loaded:
    """Read the settings from the environment and, where it is silent, from `config_file`.

    Raises SettingsError with every mistake that was found.
    """
    from_file = {} if config_file is None else _read_file(config_file)
    from_env = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    sources: dict[str, Source] = {}
    for field in Settings.model_fields:
        if from_env.get(env_name(field)):
            sources[field] = "environment"
        else:
            sources[field] = "file" if field in from_file else "default"
    problems, warnings = _unknown_in_environment(from_env)
    problems += [
        f"{name} in {config_file} is not a setting{_suggestion(name, Settings.model_fields) or '.'}"
        for name in from_file
        if name not in Settings.model_fields
    ]
    used = {name: value for name, value in from_file.items() if sources.get(name) == "file"}
    try:
        settings = Settings(**used)
    except ValidationError as error:
        values = {name: from_env.get(env_name(name), used.get(name)) for name in Settings.model_fields}
        problems += _sentences(error, values, sources, config_file)
    if problems:
        raise SettingsError("\n".join(problems))
    return Loaded(settings, sources, tuple(warnings))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a text in UTF-8.") from None
    except (ValueError, RecursionError) as error:  # not only its own error, for numbers beyond all measure
        raise SettingsError(f"{path} is not valid TOML: {error}.") from None


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _unknown_in_environment(names: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return mistakes and warnings about names with our prefix that are no settings.

    What looks like a misspelt setting is a mistake: a worker must not run for a term with a default that
    someone believes to have changed. What does not may belong to someone else, so it only earns a warning.
    """
    known = [env_name(field) for field in Settings.model_fields]
    problems, warnings = [], []
    for name in sorted(names):
        if name in known or KUBERNETES_SERVICE_LINK.fullmatch(name):
            continue
        if suggestion := _suggestion(name, known):
            problems.append(f"{name} is not a setting{suggestion}")
        else:
            warnings.append(f"{name} is not a setting and was ignored.")
    return problems, warnings


def _sentences(
    error: ValidationError,
    values: Mapping[str, object],
    sources: Mapping[str, Source],
    config_file: Path | None,
) -> Iterator[str]:
    """Yield one sentence per mistake, in the order of the settings; never a secret."""
    described = {info.name: info for info in describe()}
    seen: set[str] = set()
    for mistake in error.errors(include_url=False, include_input=False):
        name = str(mistake["loc"][0]) if mistake["loc"] else ""
        if name in seen:
            continue
        seen.add(name)
        info = described.get(name)
        if info is None:
            if not mistake["loc"]:
                yield mistake["msg"]
            continue  # unknown keys have had their sentence
        where = f"{name} in {config_file} ({info.env})" if sources[name] == "file" else info.env
        if mistake["type"] == "secret_file":
            # Without what was given: someone may have set the secret itself there.
            yield f"{where} must be {info.right}: {mistake['msg']}."
            continue
        value = "" if info.secret else f" is {values[name]!r}, but"
        yield f"{where}{value} must be {info.right}."
