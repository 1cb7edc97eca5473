"""Figures and how they read."""

import pytest

from tables.figures import as_text, difference, duration_text, mean, percent, points_text, slope


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (78.7, "78.7"),
        (70.0, "70"),
        (66.66666666666667, "66.67"),
        (-0.001, "0"),
        (-3.5, "-3.5"),
        (1234567.891, "1234567.89"),
        (1.7e308, "1.7e+308"),
    ],
)
def test_a_number_has_at_most_two_decimals(number: float, text: str) -> None:
    assert as_text(number) == text


@pytest.mark.parametrize(("number", "text"), [(1.0, "1 point"), (1.5, "1.5 points"), (0.999, "1 point")])
def test_one_point_is_singular(number: float, text: str) -> None:
    assert points_text(number) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (7 * 86_400_000, "7 days"),
        (86_400_000, "1 day"),
        (36 * 3_600_000, "36 hours"),
        (5_400_000, "90 minutes"),
        (61_000, "61 seconds"),
        (1, "1 millisecond"),
        (1_500, "1500 milliseconds"),
    ],
)
def test_a_duration_is_told_in_its_largest_whole_unit(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_a_difference_has_six_decimals() -> None:
    assert 70.0 - 69.7 < 0.3
    assert difference(70.0, 69.7) == 0.3


def test_a_mean_of_nothing_is_unknown() -> None:
    assert mean([]) is None


def test_a_slope_that_has_no_finite_value_is_unknown() -> None:
    huge = 1.7e308
    assert (
        slope([0.0, 1.0, 2.0, 3.0, 4.0], [huge, -huge, -huge, huge, -huge]) is None
    )  # infinities of both signs
    assert slope([0.0, 1.0], [huge, huge]) is None  # the sum
    assert slope([0.0, 1e-5], [-8e307, 8e307]) is None  # the quotient


def test_a_percent_of_no_points_is_unknown() -> None:
    assert percent(5.0, 0.0) is None
    assert percent(5.0, -1.0) is None
    assert percent(5.0, None) is None
    assert percent(None, 5.0) is None
    assert percent(6.0, 5.0) == 120.0
