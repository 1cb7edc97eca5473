"""requirements.lock, from which the image is made: all that pyproject.toml asks for and all below it."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGE = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
MINIMUM_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked() -> dict[str, tuple[Version, str]]:
    """Return each locked package's version and the text of its entry."""
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-zA-Z0-9])", text.replace("\\\n", " "))[1:]
    pinned = [(Requirement(entry.split("--hash")[0].strip()), entry) for entry in entries]
    return {
        canonicalize_name(requirement.name): (Version(next(iter(requirement.specifier)).version), entry)
        for requirement, entry in pinned
    }


LOCKED = locked()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def wanted() -> Iterator[tuple[str, Requirement]]:
    """Yield everything that the image needs and who asks for it, as far as what is installed here tells."""
    asked = [("pyproject.toml", Requirement(text)) for text in PROJECT["project"]["dependencies"]]
    seen = set()
    while asked:
        who, requirement = asked.pop()
        if requirement.marker is not None and not requirement.marker.evaluate(IMAGE):
            continue
        yield who, requirement
        name = canonicalize_name(requirement.name)
        if (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        for text in distribution(name).requires or ():
            below = Requirement(text)
            extras = ["", *requirement.extras]
            if below.marker is None or any(below.marker.evaluate({**IMAGE, "extra": e}) for e in extras):
                asked.append((name, Requirement(text.partition(";")[0])))


def test_everything_wanted_is_locked_in_a_version_that_will_do() -> None:
    for who, requirement in wanted():
        name = canonicalize_name(requirement.name)
        assert name in LOCKED, f"{name} (wanted by {who}) is missing: run make lock"
        version, _ = LOCKED[name]
        assert requirement.specifier.contains(version), f"{who} wants {requirement}, locked is {version}"


def test_nothing_else_is_locked_but_what_builds_our_wheel() -> None:
    build = {canonicalize_name(Requirement(text).name) for text in PROJECT["build-system"]["requires"]}
    names = {canonicalize_name(requirement.name) for _, requirement in wanted()}
    assert LOCKED.keys() == names | build, "run make lock"
    for text in PROJECT["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)][0])


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_every_package_has_the_hashes_of_its_wheels(name: str) -> None:
    _, entry = LOCKED[name]
    assert MINIMUM_HASH.search(entry)


def test_the_lock_names_no_machine() -> None:
    text = (ROOT / "requirements.lock").read_text()
    options = [line for line in text.splitlines() if line.startswith("--")]
    assert options == ["--only-binary :all:"]
    assert "://" not in text


def test_the_image_installs_what_is_locked_and_nothing_from_elsewhere() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    from_index = [
        command
        for line in dockerfile.splitlines()
        for command in line.split("&&")
        if re.search(r"\bpip (wheel|install)\b", command) and "--no-index" not in command
    ]
    assert len(from_index) == 1
    assert "--require-hashes" in from_index[0]
    assert "--requirement requirements.lock" in from_index[0]
