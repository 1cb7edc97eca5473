"""The site is built without a warning, is whole, and needs no network to be read."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from app.docs import ROOT

ALERTS = ROOT / "deploy" / "prometheus" / "rules" / "alerts.yml"

#: Attributes by which a page makes a browser fetch something, by element.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


class Page(HTMLParser):
    """What a page links to, fetches, and can be linked to at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if identity := given.get("id"):
            self.anchors.add(identity)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        if fetched := given.get(FETCHED.get(tag, "")):
            self.fetched.append(fetched)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    (recipe,) = re.findall(
        r"-m (sphinx .*?) --doctree-dir", (ROOT / "Makefile").read_text().replace("\\\n", " ")
    )
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            *recipe.split(),
            "--doctree-dir",
            folder / "doctrees",
            "--builder",
            "html",
            "docs",
            folder,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "--fail-on-warning" in recipe
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Give every page of the site, read."""
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def lost(pages: dict[Path, Page]) -> Iterator[str]:
    """Yield links within the site that lead nowhere."""
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                yield f"{path.name}: {link}"


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert len(pages) > 25
    assert list(lost(pages)) == []


def test_a_lost_link_is_found(tmp_path: Path) -> None:
    page = Page('<h1 id="here"></h1><a href="#here"></a><a href="#there"></a><a href="gone.html"></a>')
    path = tmp_path / "page.html"
    path.touch()
    assert list(lost({path: page})) == ["page.html: #there", "page.html: gone.html"]


def test_reading_it_fetches_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert [each for each in page.fetched if urlsplit(each).netloc] == [], path
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text()), style


def test_the_runbook_has_a_chapter_for_every_alert(site: Path, pages: dict[Path, Page]) -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    links = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert links
    for link in links:
        page, _, anchor = link.removeprefix("docs/").partition("#")
        assert anchor in pages[site / page.replace(".md", ".html")].anchors, link


def test_every_page_is_in_the_navigation(pages: dict[Path, Page], site: Path) -> None:
    listed = {(site / urlsplit(link).path).resolve() for link in pages[site / "index.html"].links}
    made = {site / "genindex.html", site / "search.html", site / "index.html"}
    assert set(pages) - made - listed == set()
