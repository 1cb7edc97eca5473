"""The parameters of the rules: defaults, units, and what is a mistake."""

from typing import Any

import pytest
from pydantic import ValidationError

from tables.courses import RULE as COURSE_RULE
from tables.parameters import (
    DEFAULT_RULES,
    PARAMETERS,
    Rules,
    ScoreDrop,
    ThresholdCrossed,
    as_written,
    duration_as_written,
    right_value,
)
from tables.rules import RULES


def test_the_defaults_are_the_documented_ones() -> None:
    day = 86_400_000
    drop = {"min_drop": 10.0, "critical_drop": 20.0, "window": 7 * day, "rearm": 5.0}
    assert DEFAULT_RULES.model_dump() == {
        "score_drop": {"enabled": True, **drop},
        "threshold_crossed": {"enabled": True, "thresholds": (70.0, 60.0), "rearm": 1.0},
        "submission_score_drop": {"enabled": True, "min_drop_percent": 20.0},
        "low_assignment_average": {"enabled": True, "last": 5, "min_count": 3, "below": 60.0, "rearm": 5.0},
        "override_divergence": {"enabled": True, "min_gap": 15.0},
        "final_status_changed": {"enabled": True},
        "courses_at_risk": {"enabled": True, "below": 70.0, "min_courses": 2},
        "hidden_score_drop": {"enabled": False, **drop},
        "course_wide_drop": {"enabled": True, "min_students": 10, "window": 3_600_000},
    }
    assert Rules.model_validate({}) == DEFAULT_RULES


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("7d", 604_800_000),
        ("12h", 43_200_000),
        ("30m", 1_800_000),
        ("35d", 3_024_000_000),
        ("1d12h", 129_600_000),
        ("1d2h3m", 93_780_000),
        ("6h30m", 23_400_000),
    ],
)
def test_a_duration_is_written_in_days_hours_and_minutes(text: str, milliseconds: int) -> None:
    assert ScoreDrop.model_validate({"window": text}).window == milliseconds
    assert duration_as_written(milliseconds) == text


def test_thresholds_are_written_from_the_highest_each_once() -> None:
    assert ThresholdCrossed.model_validate({"thresholds": [75, 60.5]}).thresholds == (75.0, 60.5)


def test_values_are_written_as_they_are_read() -> None:
    for rule, parameters in DEFAULT_RULES:
        written = {name: as_written(rule, name, value) for name, value in parameters}
        assert type(parameters).model_validate(written) == parameters
    assert as_written("course_wide_drop", "window", 3_600_000) == "1h"
    assert as_written("threshold_crossed", "thresholds", (70.0, 60.0)) == [70.0, 60.0]


def test_the_rules_and_the_parameters_go_together() -> None:
    assert [*(rule.name for rule in RULES), COURSE_RULE] == list(PARAMETERS)
    across = {rule.name for rule in RULES if rule.across_courses}
    assert {name for name, parameters in PARAMETERS.items() if parameters.ACROSS_COURSES} == across


def test_every_parameter_says_what_a_right_value_is() -> None:
    for parameters in PARAMETERS.values():
        for name in parameters.model_fields:
            assert right_value(parameters, name)


@pytest.mark.parametrize(
    ("rule", "mistake", "field", "says"),
    [
        ("score_drop", {"window": "7 days"}, "window", "not a duration"),
        ("score_drop", {"window": "12h1d"}, "window", "not a duration"),
        ("score_drop", {"window": ""}, "window", "not a duration"),
        ("score_drop", {"window": 604_800_000}, "window", "not a duration"),
        ("score_drop", {"window": "36d"}, "window", "less than or equal"),
        ("score_drop", {"window": "0d"}, "window", "greater than or equal"),
        ("score_drop", {"min_drop": "10"}, "min_drop", "valid number"),
        ("score_drop", {"min_drop": 0}, "min_drop", "greater than 0"),
        ("score_drop", {"min_drop": 21}, None, "critical_drop is smaller than min_drop"),
        ("score_drop", {"rearm": 11}, None, "rearm is greater than min_drop"),
        ("score_drop", {"rearm": -1}, "rearm", "greater than or equal to 0"),
        ("score_drop", {"rearm": float("inf")}, "rearm", "finite"),
        ("score_drop", {"enabled": 1}, "enabled", "boolean"),
        ("score_drop", {"minimum": 10}, "minimum", "not permitted"),
        ("threshold_crossed", {"thresholds": []}, "thresholds", "at least 1"),
        ("threshold_crossed", {"thresholds": list(range(17))}, "thresholds", "at most 16"),
        ("threshold_crossed", {"thresholds": [60, 70]}, "thresholds", "not from the highest to the lowest"),
        ("threshold_crossed", {"thresholds": [60, 60]}, "thresholds", "not from the highest to the lowest"),
        ("low_assignment_average", {"min_count": 6}, None, "min_count is greater than last"),
        ("low_assignment_average", {"last": 65}, "last", "less than or equal to 64"),
        ("courses_at_risk", {"min_courses": 0}, "min_courses", "greater than or equal to 1"),
        ("course_wide_drop", {"min_students": 0}, "min_students", "greater than or equal to 1"),
        ("course_wide_drop", {"window": "8d"}, "window", "less than or equal"),
    ],
)
def test_a_mistake_names_its_field(rule: str, mistake: dict[str, Any], field: str | None, says: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Rules.model_validate({rule: mistake})
    (problem,) = refusal.value.errors()
    assert problem["loc"][:2] == ((rule,) if field is None else (rule, field))
    assert says in problem["msg"]


def test_a_rule_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="not permitted"):
        Rules.model_validate({"score_dorp": {}})
