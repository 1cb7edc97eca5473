"""Percentiles by nearest rank, and the spread of several runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import Spread, percentile, ratio

NUMBERS = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


def test_percentiles_of_a_hundred_are_themselves() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, p) for p in (1, 50, 99, 100)] == [1, 50, 99, 100]


def test_the_only_value_is_every_percentile() -> None:
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7.0


@given(NUMBERS, st.floats(0.1, 100))
def test_enough_values_do_not_exceed_a_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6
    assert sum(value < found for value in values) < len(values) * percent / 100 + 1e-6


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_what_has_no_percentile_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"values|percent"):
        percentile(values, percent)


def test_a_spread_names_median_and_ends() -> None:
    assert Spread.of([30.0, 10.0, 20.0]) == Spread(20.0, 10.0, 30.0)
    assert Spread.of([30.0, 10.0, 20.0]).percent == 100
    with pytest.raises(ValueError, match="no values"):
        Spread.of([])


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(6.0, 3.0) == 2.0
    assert ratio(None, 3.0) is None
    assert ratio(6.0, 0.0) is None
