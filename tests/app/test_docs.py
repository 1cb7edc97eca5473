"""The documentation is as the code is: its tables, its links, and the commands that it tells to type."""

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner

from agents.topology import Topology
from app import docs, reference
from app.contract.schemas import DERIVED_MODELS
from app.main import main

PAGES = sorted([*docs.ROOT.glob("*.md"), *docs.ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXTERNAL = re.compile(r"https://([a-z0-9-]+\.)+[a-z]{2,}(/[\w./%()+~-]*)?(#[\w./%~-]+)?")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def page_id(page: Path) -> str:
    return str(page.relative_to(docs.ROOT))


def commands() -> list[str]:
    """Give every line with `gradewatch` that the pages tell to type."""
    typed = [
        line.removeprefix("$ ")
        for page in PAGES
        for block in CONSOLE.findall(page.read_text())
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    through_compose = "docker compose run --rm topics "
    typed = [line.replace(through_compose, "gradewatch ") for line in typed]
    return [line for line in typed if line.startswith("gradewatch ")]


@pytest.mark.parametrize("page", docs.pages(), ids=page_id)
def test_tables_are_as_the_code_has_them(page: Path) -> None:
    text = page.read_text()
    assert docs.renewed(text) == text, "run: python -m app.docs"


def test_every_table_stands_somewhere() -> None:
    text = "".join(page.read_text() for page in docs.pages())
    for name in docs.TABLES:
        assert text.count(f"<!-- table: {name} -->") >= 1, name


def test_an_outdated_table_is_renewed() -> None:
    assert "`gradewatch_ready`" in docs.renewed("<!-- table: metrics -->\nold\n<!-- end -->")


def test_an_outdated_program_is_renewed() -> None:
    name = "docs/examples/subscribe.py"
    page = docs.renewed(f"<!-- file: {name} -->\nold\n<!-- end -->")
    assert f"```python\n{(docs.ROOT / name).read_text()}```" in page


def test_every_number_of_a_record_has_a_unit_and_no_other_field_has() -> None:
    assert reference.number_fields() == set(reference.UNITS)


def test_every_field_of_a_record_has_a_meaning() -> None:
    for kind in DERIVED_MODELS:
        for name, schema in reference.described(kind):
            assert schema.get("description"), (kind, name)


def test_access_to_every_topic_is_told() -> None:
    assert list(reference.ACCESS) == list(docs.TOPICS)
    for name, (*_, readers) in docs.TOPICS.items():
        workers, bridges, students, staff, operators = reference.ACCESS[name]
        assert ("read" in students) is (readers == "student-safe"), name
        assert ("write" in bridges) is (name == "raw")
        assert "write" in workers or name == "raw"
        if readers == "workers only":
            assert not any((bridges, students, staff, operators)), name


def test_every_command_is_told_with_its_options() -> None:
    told = "\n".join(reference.commands())
    for command in ("worker", "dead-letters replay", "schema export", "backtest"):
        assert f"# gradewatch {command}\n" in told
    assert "`--from-beginning`" in told


def test_every_topic_is_described() -> None:
    topology = Topology.build("", "gradewatch", 8)
    assert [getattr(topology, name) for name in docs.TOPICS] == list(topology.all)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            assert EXTERNAL.fullmatch(link), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(docs.ROOT), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], link


def test_every_decision_is_in_the_list() -> None:
    folder = docs.ROOT / "docs" / "adr"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("0*.md")}


@pytest.fixture
def working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work where the files are that the pages speak of; the rules file is their own example."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").touch()
    (example,) = re.findall(r"```toml\n(.*?)```", (docs.ROOT / "docs" / "rules.md").read_text(), re.DOTALL)
    (tmp_path / "tutorial").mkdir()
    for name in ("rules.toml", "tutorial/rules.toml"):
        (tmp_path / name).write_text(example)
    return tmp_path


def test_the_example_of_a_rules_file_has_no_mistake(working_folder: Path) -> None:
    checked = CliRunner().invoke(main, ["rules", "check", "rules.toml"])
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_to_type_can_be_parsed(working_folder: Path, command: str) -> None:
    _, *words = shlex.split(command)
    words = [word.replace("ROOT_ACCOUNT_UUID:USER_ID", "r:1") for word in words]
    group: click.Command = main
    context = click.Context(group)
    while isinstance(group, click.Group):
        name, command_found, words = group.resolve_command(context, words)
        assert command_found is not None, name
        group = command_found
    group.make_context("gradewatch", words, resilient_parsing=False)


def test_the_picture_is_drawn() -> None:
    picture = ET.parse(docs.ROOT / "docs" / "way-of-an-event.svg").getroot()  # noqa: S314 - our own file
    said = "".join(picture.itertext())
    for name in ("raw", "records", "alerts", "staff_alerts", "snapshots", "dead_letters"):
        assert getattr(Topology.build("", "gradewatch", 8), name).name in said
