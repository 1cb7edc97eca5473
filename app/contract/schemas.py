"""JSON Schemas (draft 2020-12) of every message, from the models that write them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.contract.messages import ALERT, COURSE_DROP, DEAD_LETTER, SNAPSHOT, Message, canvas, record_of
from models.alerts import Alert
from models.canvas import GRADE_EVENTS
from models.drops import CourseDrop
from models.grades import Reason
from models.headers import (
    DETAIL,
    EXCEPTION,
    FAILED_AT,
    MESSAGE,
    OFFSET,
    PARTITION,
    RAW_TIMESTAMP,
    REASON,
    RULES,
    STACKTRACE,
    TOPIC,
    TRUNCATED,
    VERSION,
)
from models.records import RECORD_TYPES
from models.snapshots import StudentScoresSnapshot
from models.tracing import TRACEPARENT

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

RAW_MODELS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {canvas(name): model for name, model in GRADE_EVENTS.items()}
)
"""What Canvas sends: it leaves out what is null."""

DERIVED_MODELS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        **{record_of(name): model for name, model in RECORD_TYPES.items()},
        ALERT: Alert,
        SNAPSHOT: StudentScoresSnapshot,
        COURSE_DROP: CourseDrop,
    }
)
"""What a worker writes: every field is always there."""

CLOUD_EVENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{record_of(name): "gradewatch.grade-record.v1" for name in RECORD_TYPES},
        ALERT: "gradewatch.alert.v1",
        SNAPSHOT: "gradewatch.student-scores.v1",
        COURSE_DROP: "gradewatch.course-drop.v1",
    }
)

_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
_DIGITS: Final = r"^[0-9]+$"

_IDENTIFIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ALERT: "The alert_id. Deduplicate by it.",
        SNAPSHOT: "The event_id of the event that led to the snapshot.",
        COURSE_DROP: "The alert_id of the score drop.",
    }
)

_RAW_TIMESTAMP: Final[Schema] = {
    "type": "string",
    "pattern": _DIGITS,
    "description": "Kafka timestamp of the raw message, in milliseconds since 1970.",
}

_TRACE: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "W3C trace context, handed on where tracing is on and the raw message had it.",
}

_MORE: Final[Mapping[str, Mapping[str, Schema]]] = MappingProxyType(
    {
        ALERT: {
            RULES: {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "Digest of the rules that were active; equal for files that mean the same.",
            },
            TRACEPARENT: _TRACE,
        },
        **{
            kind: {RAW_TIMESTAMP: _RAW_TIMESTAMP, TRACEPARENT: _TRACE}
            for kind in (*map(record_of, RECORD_TYPES), COURSE_DROP)
        },
    }
)
"""Headers beyond those of CloudEvents."""

_OPTIONAL: Final = frozenset({RAW_TIMESTAMP, TRACEPARENT, TRUNCATED})


def cloud_event_headers(kind: str) -> Schema:
    """Return the schema of a derived message's headers: CloudEvents 1.0 in binary mode, and our own."""
    properties: dict[str, Schema] = {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "The version of CloudEvents."},
        "ce_id": {
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
            "description": _IDENTIFIES.get(kind, "The event_id."),
        },
        "ce_source": {
            "type": "string",
            "pattern": "^gradewatch/.+$",
            "description": "gradewatch/ and the school's root_account_uuid.",
        },
        "ce_type": {
            "type": "string",
            "const": CLOUD_EVENT_TYPES[kind],
            "description": "What the value is; another version where a field's meaning changes.",
        },
        "ce_time": {"type": "string", "pattern": _TIME, "description": "The event's time."},
        "ce_subject": {"type": "string", "description": "The message's key."},
        "content-type": {"type": "string", "const": "application/json", "description": "The value's form."},
        **_MORE.get(kind, {}),
    }
    return _headers(properties)


def dead_letter_headers() -> Schema:
    """Return the schema of the headers that a dead letter has beside the raw message's own."""
    text: Schema = {"type": "string"}
    digits: Schema = {"type": "string", "pattern": _DIGITS}
    described: dict[str, tuple[Schema, str]] = {
        REASON: ({**text, "enum": [str(reason) for reason in Reason]}, "Why it could not be read."),
        DETAIL: (text, "Which field, without its value; may be empty."),
        VERSION: (text, "The release of Gradewatch that read it."),
        FAILED_AT: ({**text, "pattern": _TIME}, "When that was."),
        TRUNCATED: (digits, "The whole value's length in bytes; only where the value was cut."),
        EXCEPTION: (text, "Always gradewatch.Rejected; where Kafka Streams names a class."),
        MESSAGE: (text, "Reason and detail."),
        STACKTRACE: ({**text, "const": ""}, "Always empty."),
        TOPIC: (text, "The topic that it was read from."),
        PARTITION: (digits, "The partition there."),
        OFFSET: (digits, "The offset there."),
    }
    return _headers({name: {**schema, "description": what} for name, (schema, what) in described.items()})


def _headers(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": "Message headers, as UTF-8 text.",
        "properties": dict(properties),
        "required": [name for name in properties if name not in _OPTIONAL],
    }


def payload_schemas(ref_template: str) -> tuple[dict[str, str], dict[str, Schema]]:
    """Return the name of each kind's schema, and all schemas by name, which refer to each other so.

    `ref_template` makes a reference out of a `{model}`.
    """
    wanted: list[tuple[str, type[BaseModel], JsonSchemaMode]] = [
        *((kind, model, "validation") for kind, model in RAW_MODELS.items()),
        *((kind, model, "serialization") for kind, model in DERIVED_MODELS.items()),
    ]
    refs, document = models_json_schema(
        [(model, mode) for _, model, mode in wanted], ref_template=ref_template
    )
    schemas: dict[str, Schema] = document["$defs"]
    prefix = ref_template.partition("{")[0]
    names = {kind: refs[model, mode]["$ref"].removeprefix(prefix) for kind, model, mode in wanted}
    for name in _reached(schemas, [names[kind] for kind in DERIVED_MODELS], prefix):
        if "properties" in schemas[name]:
            schemas[name]["required"] = list(schemas[name]["properties"])
    return names, schemas


def _reached(schemas: Mapping[str, Schema], names: list[str], prefix: str) -> set[str]:
    """Return the names of schemas and of all that they refer to."""
    reached: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [ref.removeprefix(prefix) for ref in _refs(schemas[name])]
    return reached


def _refs(schema: object) -> list[str]:
    if isinstance(schema, Mapping):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [ref for part in schema.values() for ref in _refs(part)]
    if isinstance(schema, list):
        return [ref for part in schema for ref in _refs(part)]
    return []


def json_schemas(examples: Mapping[str, Message]) -> dict[str, Schema]:
    """Return each kind's schema as a document of its own, with an example."""
    prefix = "#/$defs/"
    names, schemas = payload_schemas(prefix + "{model}")
    documents = {}
    for kind, name in names.items():
        needed = _reached(schemas, [name], prefix) - {name}
        documents[kind] = {
            **_head(kind),
            **schemas[name],
            "examples": [examples[kind].payload],
            **({"$defs": {each: schemas[each] for each in sorted(needed)}} if needed else {}),
        }
    headers = f"{DEAD_LETTER}.headers"
    documents[headers] = {
        **_head(headers),
        "title": "DeadLetterHeaders",
        **dead_letter_headers(),
        "examples": [dict(examples[DEAD_LETTER].headers)],
    }
    return documents


def _head(kind: str) -> Schema:
    return {"$schema": DIALECT, "$id": f"urn:gradewatch:{kind.replace('.', ':')}:v1"}
