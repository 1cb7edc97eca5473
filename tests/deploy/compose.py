"""Reads docker-compose.yml and the Dockerfile, so that tests can do without Docker what Docker would do."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from tests.kafka import ROOT

NOTHING: Mapping[str, str] = MappingProxyType({})
COMPOSE_FILE = ROOT / "docker-compose.yml"
KAFKA_PORT_FILE = ROOT / "deploy" / "compose" / "kafka-port.yml"
DOCKERFILE = ROOT / "Dockerfile"


#: What the file `.env` has to say.
DOT_ENV: Mapping[str, str] = MappingProxyType({"GRADEWATCH_WEB_TOKEN": "a-token-for-tests"})
_REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")


def compose(file: Path = COMPOSE_FILE) -> dict[str, Any]:
    """Read docker-compose.yml, its anchors and merges resolved."""
    document = yaml.safe_load(file.read_text())
    assert isinstance(document, dict)
    return document


def required_variables() -> set[str]:
    """Give the variables without which compose starts nothing."""
    return set(_REQUIRED.findall(COMPOSE_FILE.read_text()))


def service(name: str) -> dict[str, Any]:
    """Give one service of docker-compose.yml."""
    found = compose()["services"][name]
    assert isinstance(found, dict)
    return found


def replaced(text: str, moved: Mapping[str, str]) -> str:
    """Put each new text where its old one stands, in their order."""
    for old, new in moved.items():
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Command:
    """What a container runs: arguments and the whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    def here(self, moved: Mapping[str, str], env: Mapping[str, str] = NOTHING) -> "Command":
        """Move it out of its container: this environment's programs, other places, more variables."""
        program, *arguments = self.argv
        beside_python = Path(sys.executable).with_name(program)
        return Command(
            (str(beside_python), *(replaced(argument, moved) for argument in arguments)),
            {name: replaced(value, moved) for name, value in self.env.items()} | dict(env),
        )


def command_of(name: str) -> Command:
    """Give what a service of ours runs: ENTRYPOINT and ENV of the image, then compose's own."""
    ours = service(name)
    arguments = ours.get("command", _instruction("CMD"))
    said = {
        name: _REQUIRED.sub(lambda variable: DOT_ENV[variable[1]], value)
        for name, value in ours["environment"].items()
    }
    return Command((*_instruction("ENTRYPOINT"), *arguments), image_environment() | said)


def healthcheck() -> Command:
    """Give the health check of the image."""
    test = re.search(r"^HEALTHCHECK .*\n\s+CMD (\[.*\])$", _dockerfile(), re.MULTILINE)
    assert test is not None
    return Command(tuple(json.loads(test.group(1))), image_environment())


def image_environment() -> dict[str, str]:
    """Give the variables that ENV of the Dockerfile sets."""
    variables = re.search(r"^ENV (.+)$", _dockerfile().replace("\\\n", " "), re.MULTILINE)
    assert variables is not None
    return dict(re.findall(r"(\w+)=(\S+)", variables.group(1)))


def kafka_properties(name: str) -> dict[str, str]:
    """Give the server properties of a service of the image apache/kafka, by the rule of its start script.

    KAFKA_ is taken away, `___` becomes `-`, `__` becomes `_`, and `_` becomes `.`.
    """
    return {
        re.sub("_+", _separator, variable.removeprefix("KAFKA_")).lower(): value
        for variable, value in service(name)["environment"].items()
        if variable.startswith("KAFKA_")
    }


def _separator(underscores: re.Match[str]) -> str:
    return {1: ".", 2: "_", 3: "-"}[len(underscores.group())]


def _instruction(name: str) -> list[str]:
    arguments = re.findall(rf"^{name} (\[.*\])$", _dockerfile(), re.MULTILINE)
    assert len(arguments) == 1
    words = json.loads(arguments[0])
    assert isinstance(words, list)
    return words


def _dockerfile() -> str:
    return DOCKERFILE.read_text()
