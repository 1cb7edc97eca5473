"""The rules file: what it means, and where its mistakes are."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.parameters import DEFAULT_RULES, Rules
from tables.rulebook import DEFAULT_RULEBOOK, AccountRules, Rulebook
from tables.rulesfile import RulesFileError, line_numbers, read_rules

BROKEN = Path(__file__).parents[1] / "fixtures" / "rules" / "broken"

FILE = """
[score_drop]
min_drop = 12 # a comment
[accounts."7xb2".score_drop]
enabled = false
[accounts."7xb2".courses."42".threshold_crossed]
thresholds = [75, 65]
[accounts."7xb2".courses."42".score_drop]
enabled = true
window = "12h"
[accounts.other.courses_at_risk]
below = 50
"""


def rules(**parameters: dict[str, Any]) -> Rules:
    return Rules.model_validate({"score_drop": {"min_drop": 12}, **parameters})


def test_an_empty_file_is_the_defaults() -> None:
    assert read_rules("") == DEFAULT_RULEBOOK
    assert read_rules("# nothing\r\n\r\n").digest == DEFAULT_RULEBOOK.digest


def test_a_course_inherits_from_its_account_and_an_account_from_the_top() -> None:
    book = read_rules(FILE)
    assert book.default == rules()
    assert book.for_course("7xb2", None) == rules(score_drop={"min_drop": 12, "enabled": False})
    assert book.for_course("7xb2", "1") == book.for_course("7xb2", None)
    assert book.for_course("7xb2", "42") == rules(
        score_drop={"min_drop": 12, "enabled": True, "window": "12h"},
        threshold_crossed={"thresholds": [75, 65]},
    )
    assert book.for_course("other", "42") == rules(courses_at_risk={"below": 50})
    assert book.for_course("unheard of", "42") is book.default
    assert read_rules(FILE.replace("\n", "\r\n")) == book


def test_tables_may_be_written_inline_and_dotted() -> None:
    same = """
    score_drop = { min_drop = 12 }
    accounts.other = { courses_at_risk.below = 50 }
    [accounts.7xb2]
    score_drop.enabled = false
    courses.42 = { threshold_crossed.thresholds = [75, 65], score_drop = { enabled = true, window = "12h" } }
    """
    assert read_rules(same) == read_rules(FILE)


def test_the_digest_is_of_what_a_file_means() -> None:
    digest = read_rules(FILE).digest
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert read_rules(FILE.replace("12 # a comment", "12.0") + "min_courses = 3\n").digest != digest
    assert read_rules(FILE.replace("12 # a comment", "12.0")).digest == digest
    for of_no_effect in (
        "[accounts.third.score_drop]\nmin_drop = 12\n",
        '[accounts.other.courses."1".override_divergence]\n',
        "[accounts.other.score_drop]\nrearm = 5\n",
    ):
        assert read_rules(FILE + of_no_effect).digest == digest
    assert DEFAULT_RULEBOOK.digest != digest


def test_the_defaults_have_the_same_digest_as_long_as_they_are_the_same() -> None:
    assert DEFAULT_RULEBOOK.digest == "5fade8cf48938cf3"


def test_changes_are_only_what_differs_from_what_is_inherited() -> None:
    assert read_rules(FILE).changes() == {
        "7xb2": {
            "score_drop": {"enabled": False},
            "courses": {
                "42": {
                    "score_drop": {"enabled": True, "window": 43_200_000},
                    "threshold_crossed": {"thresholds": (75.0, 65.0)},
                }
            },
        },
        "other": {"courses_at_risk": {"below": 50.0}},
    }
    assert (
        Rulebook(DEFAULT_RULES, {"same": AccountRules(DEFAULT_RULES, {"1": DEFAULT_RULES})}).changes() == {}
    )


def test_all_mistakes_are_told_at_once_each_with_its_line() -> None:
    with pytest.raises(RulesFileError) as refusal:
        read_rules(FILE.replace("12 #", "-12 #").replace("75, 65", "75, 85").replace("below", "beloww"))
    assert [(mistake.line, mistake.field) for mistake in refusal.value.mistakes] == [
        (3, "score_drop.min_drop"),
        (7, 'accounts."7xb2".courses."42".threshold_crossed.thresholds'),
        (12, "accounts.other.courses_at_risk.beloww"),
    ]
    assert str(refusal.value).startswith("3: score_drop.min_drop: must be a number above 0, not -12;")


@pytest.mark.parametrize("text", ["a = " + "[" * 9_000, "a = " + "1" * 5_000])
def test_what_the_parser_gives_up_on_is_a_mistake_too(text: str) -> None:
    with pytest.raises(RulesFileError) as refusal:
        read_rules(text)
    assert [(mistake.line, mistake.field) for mistake in refusal.value.mistakes] == [(1, "")]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_every_broken_file_is_answered_with_its_sentences(path: Path) -> None:
    with pytest.raises(RulesFileError) as refusal:
        read_rules(path.read_text())
    expected = path.with_suffix(".txt").read_text()
    assert "".join(f"{path.name}:{mistake}\n" for mistake in refusal.value.mistakes) == expected


def test_lines_are_those_on_which_statements_begin() -> None:
    text = '''
    a = 1

    "b.c".d = [ # e = 1
      1,
      2]
    f = """
    g = 1
    [h]
    """
    [i."j.k" . l]  # m = 1
    n = { o = 1, p.q = 2 }
    [[r]]
    s = 1
    [r.t]
    [i]
    u = """one line"""
    '''
    assert line_numbers(text.replace("\n", "\r\n")) == {
        ("a",): 2,
        ("b.c",): 4,
        ("b.c", "d"): 4,
        ("f",): 7,
        ("i",): 11,
        ("i", "j.k"): 11,
        ("i", "j.k", "l"): 11,
        ("i", "j.k", "l", "n"): 12,
        ("i", "j.k", "l", "n", "o"): 12,
        ("i", "j.k", "l", "n", "p"): 12,
        ("i", "j.k", "l", "n", "p", "q"): 12,
        ("r",): 13,
        ("r", "s"): 14,
        ("r", "t"): 15,
        ("i", "u"): 17,
    }


_keys = st.sampled_from(["a", '"b.c"', '"#"', "'['", "1"])
_dotted_keys = st.lists(_keys, min_size=1, max_size=3).map(".".join)
_values = st.sampled_from(
    ["1", '"# [x]"', "[\n1,\n# ]\n2 ]", '"""\n[a]\nb = 1\n"""', "'''\n'''", "{ a = 1 }", "[[1],\n[2]]"]
)
_statements = st.one_of(
    _dotted_keys.map(lambda key: f"[{key}] # [z]"),
    st.tuples(_dotted_keys, _values).map(" = ".join),
    st.sampled_from(["", "# a = 1", "   "]),
)


@given(st.lists(_statements, max_size=8))
def test_a_statement_begins_where_its_line_says(statements: list[str]) -> None:
    text = "\n".join(statements)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    begins = {1 + "\n".join(statements[:n]).count("\n") + (n > 0) for n in range(len(statements))}
    lines = line_numbers(text)
    assert set(lines.values()) <= begins
    assert {place[0] for place in lines} == document.keys()
