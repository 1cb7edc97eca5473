"""The page needs nothing but itself, names no student, and shows what the report has."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.backtest.backtest import Backtest
from app.backtest.charts import Mark, Series, lying, upright
from app.backtest.page import page
from app.backtest.rulesets import RuleSet
from models.grades import Ignored, Rejected, read
from tests.backtest.conftest import Recording, backtest

Write = Callable[..., Path]

VOID = {"meta", "line", "rect"}


class Elements(HTMLParser):
    """Collects elements, and fails on one that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture
def html(recording: Recording, write: Write, eager_rules: Path, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    file = write("semester.jsonl", recording)
    result = backtest(file, "--compare", eager_rules, "--html", path)
    assert result.exit_code == 0, result.output
    return path.read_text()


def test_the_page_needs_nothing_from_anywhere(html: str) -> None:
    found = elements(html)

    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object", "a"} & {tag for tag, _ in found.found}
    assert not {"src", "href", "xlink:href", "srcset"} & {name for _, attrs in found.found for name in attrs}


def test_the_page_names_no_student(html: str, recording: Recording) -> None:
    records = [read(value) for value in recording]
    students = {each.user_id for each in records if not isinstance(each, Rejected | Ignored)}

    assert len(students) >= 40
    assert not students & set(re.findall(r"[0-9]+", html))


def test_the_page_has_a_chart_per_rule_that_speaks_and_goes_with_the_readers_theme(html: str) -> None:
    found = elements(html)

    charts = [attrs["aria-label"] for tag, attrs in found.found if tag == "svg"]
    assert {"score_drop per week", "course_wide_drop per week", "Deepest drops", "Alerts by course"} <= {
        *charts
    }
    assert "submission_score_drop per week" not in charts
    assert "prefers-color-scheme: dark" in html
    assert "eager.toml" in found.text


def test_a_page_about_nothing_is_a_page() -> None:
    assert "nothing to judge" in elements(page(Backtest().report())).text


def test_names_are_text_and_never_markup(in_order: Recording) -> None:
    test = Backtest([RuleSet("<script>alert(1)</script>"), RuleSet("a&b")])
    test.take(in_order[:2000])

    html = page(test.report())

    assert "<script" not in html
    assert "<script>alert(1)</script>" in elements(html).text


def bars(svg: str) -> list[dict[str, str | None]]:
    return [attrs for tag, attrs in elements(svg).found if tag == "rect"]


def heights(svg: str) -> list[float]:
    return [float(attrs["height"] or "nan") for attrs in bars(svg)]


def test_bars_are_as_high_as_their_counts() -> None:
    svg = upright("x", ["a", "b", "c"], [Series("s", "one", [4, 0, 2])], size=(100, 132))

    assert heights(svg) == [100.0, 50.0]  # the axis ends at 4; nothing has no bar
    assert [attrs["class"] for attrs in bars(svg)] == ["one", "one"]
    assert "a: 4 s" in svg


def test_bars_stand_side_by_side_or_on_each_other() -> None:
    series = [Series("s", "one", [1]), Series("t", "two", [1])]

    beside = bars(upright("x", ["a"], series, size=(148, 132)))
    stacked = bars(upright("x", ["a"], series, size=(148, 132), stacked=True))

    assert [attrs["y"] for attrs in beside] == ["12.0", "12.0"]
    assert [attrs["x"] for attrs in beside] == ["44.0", "84.0"]
    assert [attrs["y"] for attrs in stacked] == ["62.0", "12.0"]
    assert [attrs["x"] for attrs in stacked] == ["44.0", "44.0"]


def test_marks_stand_where_they_are_put() -> None:
    svg = upright("x", ["a", "b"], [Series("s", "one", [1, 1])], size=(148, 132), marks=[Mark(1.5, "here")])

    assert 'class="mark" x1="109.0"' in svg


def test_lying_bars_are_as_long_as_their_counts() -> None:
    svg = lying("x", [("a", 10, ""), ("b", 5, "")], width=260)

    assert [attrs["width"] for attrs in bars(svg)] == ["100.0", "50.0"]


def test_charts_of_nothing_are_drawn() -> None:
    elements(upright("x", [], [Series("s", "one", [])], size=(100, 100)))
    elements(lying("x", [], width=100))
