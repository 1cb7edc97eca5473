"""docs/logs.md lists every event that the code logs, with its level and fields, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.docs import ROOT

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
ROW = re.compile(
    r"^\| `(?P<event>[\w.]+)` \| (?P<level>\w+) \| (?P<fields>[^|]*)\| [A-Z`][^|]*\. \|$", re.MULTILINE
)

Event = tuple[str, str, tuple[str, ...]]


def sources() -> Iterator[Path]:
    for package in ("app", "agents", "engine", "models", "tables"):
        yield from sorted((ROOT / package).rglob("*.py"))


def logged(source: str) -> Iterator[Event]:
    """Yield what a module logs through a name that ends in `log`: event, level, fields."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=logger) | ast.Attribute(attr=logger), attr=level),
                args=[ast.Constant(value=str(event))],
                keywords=fields,
            ) if logger.lower().endswith("log") and level in LEVELS:
                yield event, level, tuple(field.arg or "**" for field in fields)


def test_what_a_module_logs_is_found() -> None:
    source = 'self._log.warning("a.b", x=1, y=2)\nlog.info("c")\nmath.log(2)'
    assert set(logged(source)) == {("a.b", "warning", ("x", "y")), ("c", "info", ())}


def test_every_event_is_listed_with_its_level_and_fields() -> None:
    listed = [
        (row["event"], row["level"], tuple(re.findall(r"`(\w+)`", row["fields"])))
        for row in ROW.finditer((ROOT / "docs" / "logs.md").read_text())
    ]
    in_code = {event for path in sources() for event in logged(path.read_text())}
    assert len(listed) == len(set(listed))
    assert set(listed) == in_code
