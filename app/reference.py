"""What the reference pages have from the code: fields of records, headers, access to topics, commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import click

from agents.topology import Topology
from app.contract.schemas import (
    DERIVED_MODELS,
    Schema,
    cloud_event_headers,
    dead_letter_headers,
    payload_schemas,
)
from app.main import main
from app.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX: Final = "#/"

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("current_score", "old_current_score", "final_score", "old_final_score"),
                *("unposted_current_score", "old_unposted_current_score"),
                *("unposted_final_score", "old_unposted_final_score"),
                *("override_score", "old_override_score", "effective_final_score"),
                *("grading_periods.*.override_score", "window.first", "window.last", "window.min"),
                *("window.max", "window.mean", "assignments.mean_percent", "assignments.last_percent"),
            ),
            "percent",
        ),
        **dict.fromkeys(("score", "old_score", "points_possible", "old_points_possible"), "points"),
        **dict.fromkeys(("value", "previous", "reference"), "as the rule's"),
        "window.days": "days",
        "window.points": "scores",
        "window.change": "percent points",
        "window.slope_per_day": "percent points per day",
        "assignments.graded": "submissions",
    }
)
"""Of every field that is a number, by its name, those within another with that one's name before it."""

_KINDS_OF_TEXT: Final[Mapping[str, str]] = MappingProxyType(
    {"^[0-9]{1,19}$": "id", "^[0-9a-f]{32}$": "32 hexadecimal digits"}
)
"""By the pattern of their schema."""

_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "number": "number",
        "integer": "whole number",
        "boolean": "true or false",
        "null": "null",
        "string": "text",
    }
)

ACCESS: Final[Mapping[str, tuple[str, str, str, str, str]]] = MappingProxyType(
    {
        "raw": ("read", "write", "", "", "write, to replay"),
        "records": ("read, write", "", "", "read", ""),
        "alerts": ("write", "", "read", "read", ""),
        "staff_alerts": ("write", "", "", "read", ""),
        "snapshots": ("write", "", "read", "read", ""),
        "course_drops": ("read, write", "", "", "read", ""),
        "dead_letters": ("write", "", "", "", "read"),
        "scores_changelog": ("read, write", "", "", "", ""),
        "drops_changelog": ("read, write", "", "", "", ""),
    }
)
"""By the topology's own names: what workers, bridges, services for students, for staff, and operators may."""


def access() -> Iterator[str]:
    """Yield the table of who may do what with a topic."""
    topology = Topology.build("", "gradewatch", 8)
    yield from table(
        ("Topic", "Workers", "Bridges", "Services for students", "Services for staff", "Operators"),
        ((f"`{getattr(topology, name).name}`", *cells) for name, cells in ACCESS.items()),
    )


def fields(kind: str) -> Iterator[str]:
    """Yield the table of a derived message's fields."""
    yield from table(
        ("Field", "Type", "Unit", "Meaning"),
        (
            (f"`{name}`", type_of(schema), UNITS.get(name, ""), schema.get("description", ""))
            for name, schema in described(kind)
        ),
    )


def described(kind: str) -> Iterator[tuple[str, Schema]]:
    """Yield the fields of a derived message with their schemas, the fields of objects within it too."""
    names, schemas = payload_schemas(_PREFIX + "{model}")
    yield from _fields(schemas[names[kind]], schemas, "")


def _fields(schema: Schema, schemas: Mapping[str, Schema], within: str) -> Iterator[tuple[str, Schema]]:
    for name, each in schema["properties"].items():
        described = {"description": "What kind of record this is.", **each} if name == "type" else each
        yield within + name, described
        values = each.get("patternProperties") or {}
        for inner, path in ((each, f"{name}."), *((value, f"{name}.*.") for value in values.values())):
            if "$ref" in inner:
                yield from _fields(schemas[inner["$ref"].removeprefix(_PREFIX)], schemas, within + path)


def type_of(schema: Schema) -> str:
    """Return a field's type in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(type_of, schema["anyOf"])))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "patternProperties" in schema:
        return "object by id"
    if "$ref" in schema:
        return "object"
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}s"
    pattern = schema.get("pattern", "")
    if pattern.endswith("Z$"):
        return "time"
    return _KINDS_OF_TEXT.get(pattern) or _KINDS[schema["type"]]


def headers(kind: str | None) -> Iterator[str]:
    """Yield the table of a derived message's headers; of a dead letter's without a kind."""
    schema = dead_letter_headers() if kind is None else cloud_event_headers(kind)
    yield from table(
        ("Header", "Value", "Meaning"),
        (
            (f"`{name}`", _header_value(each), each["description"])
            for name, each in schema["properties"].items()
        ),
    )


def _header_value(schema: Schema) -> str:
    if "const" in schema:
        return f"`{schema['const']}`" if schema["const"] else ""
    return "digits" if schema.get("pattern") == "^[0-9]+$" else type_of(schema)


def commands() -> Iterator[str]:
    """Yield a section for every command: what it does, its usage, and its options."""
    yield from _command(main, click.Context(main, info_name="gradewatch"))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = len(context.command_path.split())
    if context.parent is not None:
        yield from (f"{'#' * depth} {context.command_path}", "", _markdown(command.help or ""), "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _command(found, click.Context(found, info_name=name, parent=context))
        return
    yield from _leaf(command, context)


def _leaf(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from (
        "```text",
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        "```",
        "",
    )
    rows = list(_options(command, context))
    if rows:
        yield from (*table(("Option", "Meaning"), rows), "")


def _options(command: click.Command, context: click.Context) -> Iterator[Sequence[str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and "--config" not in parameter.opts:
            option, meaning = record
            yield f"`{option}`", " ".join(meaning.split())


def _markdown(text: str) -> str:
    """Return a help text, its paragraphs as Markdown's."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(paragraphs).replace("<", "&lt;").replace("*", "\\*")


def number_fields() -> set[str]:
    """Return the names of all fields of derived messages that may be a number."""
    return {
        name for kind in DERIVED_MODELS for name, schema in described(kind) if "number" in type_of(schema)
    }
