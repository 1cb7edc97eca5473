"""The figures of the documentation: what is tried, how semesters are added up, and where it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.backtest.truth import Accuracy
from app.rules import load_rules
from app.semester import Options, Semester
from bench.rules_report import (
    DOCUMENT,
    RECOMMENDED,
    VARIATIONS,
    Figures,
    declines_of,
    only,
    rule_sets,
    write,
)
from tables.parameters import PARAMETERS
from tables.rulebook import DEFAULT_RULEBOOK


def test_the_recommended_rules_are_right_and_not_the_default_ones() -> None:
    assert load_rules(RECOMMENDED).digest != DEFAULT_RULEBOOK.digest


def test_every_block_of_figures_is_filled() -> None:
    blocks = re.findall(r"<!-- figures: (\w+) -->\n(.*?)<!-- end -->", DOCUMENT.read_text(), re.DOTALL)

    names = [name for name, _ in blocks]
    assert sorted(names) == ["defaults", "recommended", "semesters", "speed", "spread", "variations"]
    for name, block in blocks:
        assert block.count("\n|") > 3, name


@pytest.mark.parametrize("rule", [rule for rule, _ in VARIATIONS])
def test_among_the_variations_of_a_rule_are_its_defaults_once(rule: str) -> None:
    titles = [one.name for one in rule_sets()[2:] if getattr(one.book.default, rule).enabled]

    assert len(titles) == len(set(titles)) == len(dict(VARIATIONS)[rule])
    assert sum(title.endswith("(default)") for title in titles) == 1


def test_a_variation_is_judged_alone() -> None:
    rules = only("score_drop", {"min_drop": 5})

    assert {name for name in PARAMETERS if getattr(rules, name).enabled} == {"score_drop"}
    assert rules.score_drop.min_drop == 5


def test_semesters_are_added_up_before_they_are_divided() -> None:
    one = Figures(Accuracy(4, 1, 10, 5, 8, 4, (3.0,)), student_weeks=100)
    other = Figures(Accuracy(6, 4, 30, 25, 12, 6, (1.0, 2.0, 9.0, 10.0)), student_weeks=300)

    assert Figures.together([one, other]).cells() == ["50 %", "75 %", "2.50", "3.0", "10.0"]


def test_declines_are_the_labels_of_the_semester() -> None:
    semester = Semester(Options(students=60))

    declines = declines_of(semester)

    assert sum(map(len, declines.values())) == len(list(semester.labels())) > 0


def test_figures_replace_those_between_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- figures: one -->\nold\n<!-- end -->\nb\n<!-- figures: two -->\n<!-- end -->\n")

    write({"two": ["| 2 |"], "one": ["| 1 |", ""]}, page)

    assert page.read_text() == (
        "a\n<!-- figures: one -->\n\n| 1 |\n\n<!-- end -->\nb\n"
        "<!-- figures: two -->\n\n| 2 |\n\n<!-- end -->\n"
    )
    with pytest.raises(ValueError, match="three"):
        write({"three": []}, page)
