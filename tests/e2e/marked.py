"""Raw messages with a marker in every field, and which of the markers may show where."""

import itertools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel

from models.canvas import GRADE_EVENTS
from models.grades import read
from models.records import RECORD_TYPES, GradeRecordBase

ACCOUNT: Final = "marked-account-uuid"
#: As long as ids with a global prefix, so that no clock, address or float has one in it by chance.
USER: Final = "700010000070001"
COURSE: Final = "700010000070002"
#: What all events have in common. Records show it; what is for machines and operators does not.
SHARED: Final[Mapping[str, str]] = {
    "root_account_uuid": ACCOUNT,
    "user_id": USER,
    "student_id": USER,
    "course_id": COURSE,
    "context_id": COURSE,
    "context_type": "Course",
    "root_account_id": "1",
    "workflow_state": "active",
    "time_zone": "America/Denver",  # the library of time zones names it too
}
#: Fields of the metadata that a record keeps; those of the body are the record's own.
KEPT_METADATA: Final = {"user_id", "job_id", "event_time"}
#: Fields that no student may see the value of.
HIDDEN: Final = "unposted_"


@dataclass
class Marked:
    """Messages, and the markers in them by what may become of them."""

    values: list[bytes] = field(default_factory=list)
    #: In no place but the dead letters.
    never: set[str] = field(default_factory=set)
    #: In records, and in what is made of them for staff.
    staff: set[str] = field(default_factory=set)
    #: In what students may see as well.
    student: set[str] = field(default_factory=set)

    @property
    def all(self) -> set[str]:
        return self.never | self.staff | self.student | {ACCOUNT, USER, COURSE}


_numbers = itertools.count(1_000)


def _marker(annotation: Any, name: str, turn: int) -> tuple[object, str | None]:
    """Return a right value for a field and what to look for, None where a value can't be told from others."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _marker(next(kind for kind in get_args(annotation) if kind is not type(None)), name, turn)
    if origin is Literal:
        return get_args(annotation)[0], None
    number = next(_numbers)
    constraints = repr(getattr(annotation, "__metadata__", ""))
    if "[0-9]{4}-" in constraints:
        text = f"2025-10-0{1 + turn}T07:{number % 60:02}:31.{number % 1000:03}Z"
        return text, text
    if "[0-9]" in constraints:
        return f"90001000{number}80", f"90001000{number}80"
    kind = getattr(annotation, "__origin__", annotation)
    if kind is bool:
        return True, None
    if kind is float:
        score = (90, 50)[turn] + number / 1e5  # such a drop is told
        return score, str(score)
    return f"marker-{name}-{number}", f"marker-{name}-{number}"


def _object(model: type[BaseModel], marked: Marked, kept: set[str], turn: int) -> dict[str, Any]:
    """Return an object with every field of the model marked, and some that nobody has documented."""
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in SHARED and not (name == "user_id" and "event_name" in model.model_fields):
            values[name] = SHARED[name]
            continue
        annotation = info.annotation
        if info.metadata:
            annotation = type("Constrained", (), {"__metadata__": info.metadata, "__origin__": annotation})
        values[name], marker = _marker(annotation, name, turn)
        if marker is not None:
            is_hidden = HIDDEN in name or ("muted" in model.model_fields and not name.endswith("_id"))
            group = marked.staff if is_hidden else marked.student
            (group if name in kept else marked.never).add(marker)
    marker = f"marker-undocumented-{next(_numbers)}"
    marked.never.add(marker)
    values |= {marker: marker, "email": marker, "more": {"name": [marker, {marker: marker}]}}
    return values


def marked_events() -> Marked:
    """Return each documented event twice, complete, with every value its own and every grade lower then."""
    marked = Marked()
    for turn, (event_name, event) in itertools.product(range(2), GRADE_EVENTS.items()):
        fields: Any = event.model_fields
        own = set(RECORD_TYPES[event_name].model_fields)
        metadata = _object(fields["metadata"].annotation, marked, KEPT_METADATA, turn)
        body = _object(fields["body"].annotation, marked, own, turn)
        extra = f"marker-beside-{next(_numbers)}"
        marked.never.add(extra)
        marked.values.append(orjson.dumps({"metadata": metadata, "body": body, "extra": extra}))
    return marked


def marked_poison() -> Marked:
    """Return messages that can't be read, each for another field, and events that are none of ours."""
    marked = Marked()
    for value in marked_events().values:
        event = orjson.loads(value)
        for part, name in [(p, name) for p in ("metadata", "body") for name in event[p]]:
            for wrong in _wrong_values(f"marker-wrong-{next(_numbers)}"):
                changed = {**event, part: {**event[part], name: wrong}}
                changed["body"] = {**changed["body"], "grade_note": f"marker-beside-wrong-{next(_numbers)}"}
                value = orjson.dumps(changed)
                if not isinstance(read(value, None), GradeRecordBase):  # else it's right, and may be kept
                    marked.values.append(value)
    text = f"marker-text-{next(_numbers)}"
    marked.values += [
        text.encode(),
        b'{"metadata": {"event_name": "' + text.encode(),
        b'["' + text.encode() + b'"]',
        b'{"metadata": "' + text.encode() + b'"}',
        b'{"' + text.encode() + b'": 1}',
        b"\xff" + text.encode(),
        b'{"metadata": {"event_name": "' + text.encode() + b'"}}',
    ]
    marked.never = {"marker-wrong-", "marker-beside-wrong-", text}
    return marked


def _wrong_values(marker: str) -> Iterator[object]:
    yield {marker: [marker]}
    yield marker
