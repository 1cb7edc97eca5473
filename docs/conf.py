"""How Sphinx makes the site out of docs/ (`make docs`)."""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

_PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "Gradewatch"
author = "The Gradewatch authors"
project_copyright = f"%Y, {author}, {_PROJECT['license']}"
version = release = _PROJECT["version"]
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["conf.py"]
# GitHub's anchors of headings: the links in README.md, the rules for Prometheus and here are the same.
myst_heading_anchors = 4

html_theme = "furo"  # system fonts and its own scripts: nothing is fetched from elsewhere when a page is read
html_title = f"Gradewatch {release}"
html_copy_source = False
html_show_sourcelink = False


def _lead_outside(_app: Sphinx, _docname: str, source: list[str]) -> None:
    """Lead links to pages beside docs/ to what the site has of them."""
    source[0] = re.sub(r"\]\((\.\./)+CHANGELOG\.md", "](/changelog.md", source[0])
    source[0] = re.sub(r"\]\((\.\./)+README\.md(#[^)]*)?", "](/index.md", source[0])


def setup(app: Sphinx) -> None:
    """Take part in reading the pages."""
    app.connect("source-read", _lead_outside)
