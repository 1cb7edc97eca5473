"""`gradewatch schema export [DIR]`: the schemas of all messages, for other services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from app.cli import HelpfulGroup, print_json, with_settings
from app.errors import GradewatchError
from app.settings import Settings

ASYNCAPI = "asyncapi"


class ExportError(GradewatchError):
    """The schemas could not be written."""


@click.group(name="schema", cls=HelpfulGroup)
def command() -> None:
    """Export the schemas of all messages."""


@command.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    default="schemas",
    type=click.Path(path_type=Path, file_okay=False, allow_dash=True),
)
@click.option("--json", "as_json", is_flag=True, help="Print the names of the files as one JSON document.")
@with_settings
def export(settings: Settings, folder: Path, as_json: bool) -> None:
    """Write JSON Schemas (draft 2020-12) and an AsyncAPI 3 document to DIR, by default ./schemas.

    There is a schema for each event on the raw topic, each grade record, alerts, snapshots, course drops and
    the headers of dead letters, each with an example. asyncapi.json has the topics, named as the settings
    say, with messages, keys and headers. Files with these names are replaced. With - for DIR all of it is
    printed as one JSON object by name. No broker is asked.
    """
    documents = _documents(settings)
    if str(folder) == "-":
        print_json(documents)
        return
    files = _write(documents, folder)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        click.echo(f"{len(files) - 1} schemas and {files[-1].name} are in {folder}.")


def _documents(settings: Settings) -> dict[str, Any]:
    from app.contract.asyncapi import document
    from app.contract.messages import examples
    from app.contract.schemas import json_schemas

    found = examples()
    return {**json_schemas(found), ASYNCAPI: document(settings.topology(), found)}


def _write(documents: Mapping[str, Any], folder: Path) -> list[Path]:
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in documents.items():
            file = folder / (f"{name}.json" if name == ASYNCAPI else f"{name}.schema.json")
            file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            files.append(file)
    except OSError as error:
        raise ExportError(f"{folder}: could not be written ({error.strerror}).") from error
    return files
