"""The parts of the documentation that the code knows best: settings, topics, records, rules, commands.

`python -m app.docs` writes them between the marks `<!-- table: NAME -->` and `<!-- end -->` of README.md and
the pages of docs/, and example programs between `<!-- file: PATH -->` and `<!-- end -->`; a test fails when
one of them is not current. A description is written once, where the thing is declared.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agents.metrics import describe as describe_metrics
from agents.topology import Topology
from app import reference
from app.configuration import describe as describe_settings
from app.contract.messages import ALERT
from app.contract.schemas import DERIVED_MODELS
from app.tables import table
from app.topics import show_retention
from tables.parameters import PARAMETERS, as_written, right_value

ROOT: Final = Path(__file__).resolve().parent.parent

_BLOCK: Final = re.compile(
    r"(?P<head><!-- (?P<what>table|file): (?P<name>\S+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
_LANGUAGES: Final = MappingProxyType({".py": "python", ".java": "java", ".js": "javascript"})

TOPICS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "raw": ("Canvas events as the bridges deliver them", "any or none", "staff; bridges write"),
        "records": ("typed grade records, hidden grades included", "student", "staff"),
        "alerts": ("alerts from posted grades", "student", "student-safe"),
        "staff_alerts": (
            "alerts from unposted or muted grades, or about whole courses",
            "student; course",
            "staff",
        ),
        "snapshots": ("newest posted scores per student and course", "student and course", "student-safe"),
        "course_drops": ("opened score drops, to be counted by course", "course", "staff"),
        "dead_letters": ("messages that can't be read, as they came, and why", "as it came", "staff"),
        "scores_changelog": ("the table of student states, to recover from", "student", "workers only"),
        "drops_changelog": ("the table of courses' drops, to recover from", "course", "workers only"),
    }
)
"""By the topology's own names: what is in a topic, its key, who may read it."""


def topics() -> Iterator[str]:
    """Yield the table of topics with the default settings."""
    topology = Topology.build("", "gradewatch", 8)
    yield from table(
        ("Topic", "What is in it", "Key", "Kept", "Who may read it"),
        (
            (
                f"`{spec.name}`",
                what,
                key,
                "newest per key" if spec.retention_ms is None else show_retention(spec.retention_ms),
                readers,
            )
            for name, (what, key, readers) in TOPICS.items()
            for spec in [getattr(topology, name)]
        ),
    )


def settings() -> Iterator[str]:
    """Yield the table of settings."""
    yield from table(
        ("Setting", "Default", "Unit", "Meaning"),
        (
            (f"`{info.env}`", f"`{info.default}`" if info.default else "", info.unit, info.description)
            for info in describe_settings()
        ),
    )


def metrics() -> Iterator[str]:
    """Yield the table of metrics."""
    yield from table(
        ("Metric", "Kind", "Labels", "Meaning"),
        (
            (f"`{info.name}`", info.kind, ", ".join(f"`{label}`" for label in info.labels), info.description)
            for info in describe_metrics()
        ),
    )


def rules() -> Iterator[str]:
    """Yield the table of rules."""
    yield from table(
        ("Rule", "Judged on", "Holds when", "Let go when", "Severity"),
        (
            (f"`{name}`", rule.JUDGED_ON, rule.HOLDS, rule.LET_GO, rule.SEVERITY)
            for name, rule in PARAMETERS.items()
        ),
    )


def parameters() -> Iterator[str]:
    """Yield the table of the rules' parameters."""
    yield from table(
        ("Rule", "Parameter", "Default", "May be", "Meaning"),
        (
            (
                f"`{name}`",
                f"`{parameter}`",
                f"`{json.dumps(as_written(name, parameter, field.default))}`",
                right_value(rule, parameter),
                field.description or "",
            )
            for name, rule in PARAMETERS.items()
            for parameter, field in rule.model_fields.items()
        ),
    )


TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = MappingProxyType(
    {
        "topics": topics,
        "settings": settings,
        "metrics": metrics,
        "rules": rules,
        "parameters": parameters,
        "access": reference.access,
        **{f"fields.{kind}": partial(reference.fields, kind) for kind in DERIVED_MODELS},
        "headers.alert": partial(reference.headers, ALERT),
        "headers.dead-letter": partial(reference.headers, None),
        "commands": reference.commands,
    }
)


def renewed(text: str) -> str:
    """Return a page with its tables and programs as they are now.

    KeyError on a mark with an unknown name, FileNotFoundError on one of a program that is not there.
    """
    return _BLOCK.sub(
        lambda block: block["head"] + "\n".join(["", *_content(block), "", ""]) + block["end"], text
    )


def _content(block: re.Match[str]) -> Iterator[str]:
    if block["what"] == "table":
        yield from TABLES[block["name"]]()
        return
    path = ROOT / block["name"]
    yield f"```{_LANGUAGES[path.suffix]}"
    yield path.read_text(encoding="utf-8").rstrip()
    yield "```"


def pages() -> list[Path]:
    """Return the pages that may have such parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    """Renew the generated parts of all pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if renewed(text) != text:
            page.write_text(renewed(text), encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)} renewed\n")


if __name__ == "__main__":
    main()
