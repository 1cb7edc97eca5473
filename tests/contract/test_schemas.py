"""The published schemas take every message that a worker writes, and no others."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator, Draft202012Validator

from agents.topology import Topology
from app.contract.asyncapi import CHANNELS, document
from app.contract.messages import DEAD_LETTER, KINDS, Message, examples, messages
from app.contract.schemas import cloud_event_headers, dead_letter_headers, json_schemas
from app.main import main
from app.semester.options import Options
from app.semester.semester import Semester

ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.json"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "canvas"

EXAMPLES = examples()
SCHEMAS = json_schemas(EXAMPLES)
TOPOLOGY = Topology.build("", "gradewatch", 8)
ASYNCAPI = document(TOPOLOGY, EXAMPLES)


@pytest.fixture(scope="module")
def flowing() -> list[Message]:
    """Give the messages of a semester in which everything happens."""
    options = Options(seed=1, students=12, poison=0.02, duplicates=0.02, disorder_seconds=1200)
    return list(messages(Semester(options).events()))


def refs(part: object) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield from [part["$ref"]] if "$ref" in part else []
        for each in part.values():
            yield from refs(each)
    elif isinstance(part, list):
        for each in part:
            yield from refs(each)


def resolved(reference: str) -> Any:
    place: Any = ASYNCAPI
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_is_a_schema_and_its_example_is_right(kind: str) -> None:
    schema = SCHEMAS[kind]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    (example,) = schema["examples"]
    Draft202012Validator(schema).validate(example)


def test_every_message_of_a_semester_is_right(flowing: list[Message]) -> None:
    validators = {kind: Draft202012Validator(schema) for kind, schema in SCHEMAS.items()}
    headers = {kind: Draft202012Validator(cloud_event_headers(kind)) for kind in KINDS if _is_derived(kind)}
    headers[DEAD_LETTER] = Draft202012Validator(dead_letter_headers())
    seen: Counter[str] = Counter()
    for message in flowing:
        seen[message.kind] += 1
        if message.kind != DEAD_LETTER:
            validators[message.kind].validate(message.payload)
        if message.kind in headers:
            headers[message.kind].validate(message.headers)
    assert seen.keys() == set(KINDS)
    assert seen.total() > 5_000


def _is_derived(kind: str) -> bool:
    return kind != DEAD_LETTER and not kind.startswith("canvas.")


def test_the_events_of_the_documentation_are_right() -> None:
    paths = sorted(FIXTURES.glob("documented_*.in.json"))
    assert len(paths) == 4
    for path in paths:
        event = json.loads(path.read_bytes())
        name = event["metadata"]["event_name"]
        if "misnamed" in path.name:
            event["metadata"]["event_name"] = name = "grade_override"
        Draft202012Validator(SCHEMAS[f"canvas.{name}"]).validate(event)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if _is_derived(kind)])
def test_a_derived_message_without_one_of_its_fields_is_wrong(kind: str) -> None:
    validator = Draft202012Validator(SCHEMAS[kind])
    payload = EXAMPLES[kind].payload
    for field in payload:
        assert not validator.is_valid({name: value for name, value in payload.items() if name != field}), (
            field
        )
        assert not validator.is_valid(payload | {field: ["wrong"] if field != "alerts_open" else 1}), field
    assert validator.is_valid(payload | {"added_later": 1})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("canvas.")])
def test_headers_tell_what_a_message_is(kind: str) -> None:
    schema = dead_letter_headers() if kind == DEAD_LETTER else cloud_event_headers(kind)
    validator = Draft202012Validator(schema)
    validator.validate(EXAMPLES[kind].headers)
    for name in schema["required"]:
        rest = {other: value for other, value in EXAMPLES[kind].headers.items() if other != name}
        assert not validator.is_valid(rest), name
    assert set(EXAMPLES[kind].headers) <= set(schema["properties"])


def test_the_document_is_asyncapi() -> None:
    validator = Draft7Validator(json.loads(ASYNCAPI_SCHEMA.read_bytes()))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(ASYNCAPI)] == []
    assert not validator.is_valid(ASYNCAPI | {"channels": {"raw": {"messages": 1}}})
    assert not validator.is_valid({name: part for name, part in ASYNCAPI.items() if name != "info"})


def test_all_it_refers_to_is_in_it() -> None:
    references = set(refs(ASYNCAPI))
    assert len(references) > 20
    for reference in references:
        assert resolved(reference)


def test_its_messages_examples_are_right() -> None:
    for kind, message in ASYNCAPI["components"]["messages"].items():
        (example,) = message["examples"]
        if "payload" in message:
            schema = resolved(message["payload"]["$ref"]) | {"components": ASYNCAPI["components"]}
            Draft202012Validator(schema).validate(example["payload"])
        if "headers" in message:
            Draft202012Validator(message["headers"]).validate(example["headers"])
        assert ("payload" in message) is (kind != DEAD_LETTER)


def test_it_has_every_topic_but_the_changelogs() -> None:
    topics = {getattr(TOPOLOGY, name).name for name in CHANNELS}
    assert topics == {spec.name for spec in TOPOLOGY.all if not spec.name.endswith("-changelog")}
    assert {channel["address"] for channel in ASYNCAPI["channels"].values()} == topics


def test_export_writes_a_file_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADEWATCH_TOPIC_PREFIX", "school.")
    folder = tmp_path / "new" / "schemas"
    done = CliRunner().invoke(main, ["schema", "export", str(folder)])
    assert done.exit_code == 0, done.output
    assert f"{len(SCHEMAS)} schemas and asyncapi.json are in {folder}." in done.stdout
    written = {path.name: json.loads(path.read_bytes()) for path in folder.iterdir()}
    exported = written.pop("asyncapi.json")
    assert written == {f"{kind}.schema.json": schema for kind, schema in SCHEMAS.items()}
    assert exported["channels"]["alerts"]["address"] == "school.grade-alerts"


def test_export_to_a_dash_prints_all_of_it() -> None:
    done = CliRunner().invoke(main, ["schema", "export", "-"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {**SCHEMAS, "asyncapi": ASYNCAPI}


def test_export_tells_programs_which_files_it_wrote(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["schema", "export", "--json", str(tmp_path)])
    assert sorted(json.loads(done.stdout)["files"]) == sorted(map(str, tmp_path.iterdir()))


def test_export_says_where_it_could_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(main, ["schema", "export", str(tmp_path / "file" / "schemas")])
    assert done.exit_code == 1
    assert "could not be written" in done.stderr
