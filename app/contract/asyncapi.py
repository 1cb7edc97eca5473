"""An AsyncAPI 3 document of the topics that others write or read, as this deployment names them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from agents.topology import TopicSpec, Topology
from app.cli import version
from app.contract.messages import ALERT, COURSE_DROP, DEAD_LETTER, SNAPSHOT, Message, canvas, record_of
from app.contract.schemas import cloud_event_headers, dead_letter_headers, payload_schemas
from models.canvas import GRADE_EVENTS
from models.records import RECORD_TYPES

VERSION: Final = "3.0.0"
KAFKA_BINDING: Final = "0.5.0"

_STUDENT_KEY: Final = "root_account_uuid:user_id of the student"
_COURSE_KEY: Final = "root_account_uuid:course_id of the course"


class _Channel(NamedTuple):
    """A topic in the document, by its name in the topology."""

    action: Literal["send", "receive"]
    """What Gradewatch does."""
    kinds: tuple[str, ...]
    description: str


CHANNELS: Final[Mapping[str, _Channel]] = MappingProxyType(
    {
        "raw": _Channel(
            "receive",
            tuple(map(canvas, GRADE_EVENTS)),
            "Canvas Live Events as bridges deliver them: any key, any order, repeats. Events of all other "
            "names may come too and are counted. For staff.",
        ),
        "records": _Channel(
            "send",
            tuple(map(record_of, RECORD_TYPES)),
            "Typed grade records, keyed by student, hidden grades included. For staff.",
        ),
        "alerts": _Channel("send", (ALERT,), "Alerts from posted grades, which students may see."),
        "staff_alerts": _Channel(
            "send", (ALERT,), "Alerts from unposted or muted grades, or about whole courses. For staff."
        ),
        "snapshots": _Channel(
            "send",
            (SNAPSHOT,),
            "The newest posted scores per student and course; compacted. A message without a value says that "
            "the course is gone. Students may see it.",
        ),
        "course_drops": _Channel("send", (COURSE_DROP,), "Opened score drops, keyed by course. For staff."),
        "dead_letters": _Channel(
            "send",
            (DEAD_LETTER,),
            "Messages that could not be read, with their own key, value and headers, and headers that say "
            "why. For staff.",
        ),
    }
)

_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{record_of(name): _STUDENT_KEY for name in RECORD_TYPES},
        ALERT: f"{_STUDENT_KEY}; where user_id is null, {_COURSE_KEY}",
        SNAPSHOT: "root_account_uuid:user_id:course_id",
        COURSE_DROP: _COURSE_KEY,
    }
)


def document(topology: Topology, examples: Mapping[str, Message]) -> dict[str, Any]:
    """Return the document for a deployment's topics, with an example of each message."""
    names, schemas = payload_schemas("#/components/schemas/{model}")
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Gradewatch",
            "version": version(),
            "description": "Grade events of Canvas LMS in; typed records, scores and alerts out. Everything "
            "is delivered at least once: deduplicate by the header ce_id.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(getattr(topology, name), each) for name, each in CHANNELS.items()},
        "operations": {f"{each.action}_{name}": _operation(name, each) for name, each in CHANNELS.items()},
        "components": {
            "messages": {
                kind: _message(kind, names.get(kind), examples[kind])
                for kind in dict.fromkeys(kind for each in CHANNELS.values() for kind in each.kinds)
            },
            "schemas": schemas,
        },
    }


def _channel(spec: TopicSpec, channel: _Channel) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "cleanup.policy": [spec.cleanup_policy],
        "max.message.bytes": spec.max_message_bytes,
    }
    if spec.retention_ms is not None:
        configuration["retention.ms"] = spec.retention_ms
    return {
        "address": spec.name,
        "description": channel.description,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in channel.kinds},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operation(name: str, channel: _Channel) -> dict[str, Any]:
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{kind}"} for kind in channel.kinds],
    }


def _message(kind: str, schema: str | None, example: Message) -> dict[str, Any]:
    message: dict[str, Any] = {"name": kind, "contentType": "application/json"}
    shown: dict[str, Any] = {"name": "example", "payload": example.payload}
    if schema is None:  # a dead letter: any bytes
        message |= {"contentType": "application/octet-stream", "headers": dead_letter_headers()}
    else:
        message["payload"] = {"$ref": f"#/components/schemas/{schema}"}
    if kind in _KEYS:
        message["headers"] = cloud_event_headers(kind)
        key = {"type": "string", "description": _KEYS[kind]}
        message["bindings"] = {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}
    if "headers" in message:
        shown["headers"] = dict(example.headers)
    return {**message, "examples": [shown]}
