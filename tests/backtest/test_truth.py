"""Recall, precision and delay, on an example small enough to work out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from app.backtest.lines import InputError
from app.backtest.report import ALL
from app.backtest.tally import week_of
from app.backtest.truth import Accuracy, Truth, read_labels
from models.alerts import Status
from models.times import epoch_ms
from tables.cases import AlertDraft
from tests.backtest.conftest import Recording, backtest, document
from tests.tables.histories import time_at

ANNE, BEN, CLEO = b"school:1", b"school:2", b"school:3"
START_MS = epoch_ms(time_at(0))
DAY_MS = 86_400_000

DECLINES = {
    ANNE: {"10": START_MS + 10 * DAY_MS, "11": START_MS + 20 * DAY_MS},
    BEN: {"10": START_MS + 10 * DAY_MS},
}
"""Anne declines in two courses, Ben in one, Cleo nowhere."""


def alert(
    rule: str, key: bytes, course_id: str | None, day: float, status: Status = "opened"
) -> tuple[bytes, AlertDraft]:
    root_account_uuid, _, user_id = key.decode().partition(":")
    return key, AlertDraft(
        alert_id="",
        rule=rule,
        status=status,
        severity="warning",
        audience="student",
        root_account_uuid=root_account_uuid,
        user_id=user_id,
        course_id=course_id,
        assignment_id=None,
        submission_id=None,
        subject=None,
        event_id="",
        event_time=time_at(day),
        value=None,
        previous=None,
        reference=None,
        message="",
    )


def judged(alerts: Sequence[tuple[bytes, AlertDraft]], *rules: str) -> Accuracy:
    truth = Truth(DECLINES, within_days=14)
    for key, draft in alerts:
        truth.take(key, [(draft,)])
    seen = {(key, course_id) for key, courses in DECLINES.items() for course_id in courses}
    return truth.accuracy(rules or tuple(truth.rules), seen)


ALERTS = [
    alert("drop", ANNE, "10", 5),  # before it began: false
    alert("drop", ANNE, "10", 13),  # found after 3 days
    alert("drop", ANNE, "10", 14),  # right, and found already
    alert("drop", ANNE, "11", 40),  # right, but not within 14 days
    alert("drop", CLEO, "10", 12),  # false
    alert("drop", BEN, "11", 12),  # false: not in this course
    alert("drop", BEN, "10", 12, "resolved"),  # raises nothing
    alert("risk", BEN, None, 17),  # found after 7 days, by a rule that looks at all courses
    alert("risk", CLEO, None, 17),  # false
]


def test_a_rule_is_held_against_the_truth() -> None:
    drop = judged(ALERTS, "drop")

    assert (drop.declines, drop.found, drop.recall) == (3, 1, 1 / 3)
    assert (drop.alerts, drop.right, drop.false, drop.precision) == (6, 3, 3, 0.5)
    assert (drop.alerted, drop.rightly_alerted, drop.precision_of_student_courses) == (4, 2, 0.5)
    assert drop.delays_days == (3.0,)


def test_an_alert_about_all_courses_is_right_for_those_that_decline() -> None:
    risk = judged(ALERTS, "risk")

    assert (risk.found, risk.right, risk.false) == (1, 1, 1)
    assert risk.delays_days == (7.0,)


def test_rules_together_find_what_any_of_them_finds() -> None:
    both = judged(ALERTS)

    assert (both.found, both.recall) == (2, 2 / 3)
    assert (both.alerts, both.false, both.precision) == (8, 4, 0.5)
    assert (both.median_delay_days, both.p90_delay_days) == (5.0, 7.0)


def test_the_first_alert_counts_in_whatever_order_they_come() -> None:
    assert judged([ALERTS[2], ALERTS[1]], "drop").delays_days == (3.0,)


def test_a_decline_begins_with_its_day_and_is_found_before_the_time_is_over() -> None:
    assert judged([alert("drop", BEN, "10", 10)]).delays_days == (0.0,)
    assert judged([alert("drop", BEN, "10", 9.999)]).found == 0
    assert judged([alert("drop", BEN, "10", 23.999)]).found == 1
    assert judged([alert("drop", BEN, "10", 24)]).found == 0


def test_without_alerts_there_is_no_precision_and_without_declines_no_recall() -> None:
    nothing = judged([], "drop")

    assert (nothing.recall, nothing.precision, nothing.median_delay_days) == (0.0, None, None)
    assert Truth({}, 14).accuracy(("drop",), set()).recall is None


def test_nine_in_ten_do_not_exceed_p90() -> None:
    delays = tuple(float(n) for n in range(1, 21))

    assert Accuracy(20, 20, 20, 20, 20, 20, delays).p90_delay_days == 18.0
    assert Accuracy(1, 1, 1, 1, 1, 1, (4.0,)).p90_delay_days == 4.0


@pytest.fixture
def labelled(tmp_path: Path, recording: Recording, semester: object, write: Callable[..., Path]) -> list[str]:
    from app.semester import Semester

    assert isinstance(semester, Semester)
    labels = tmp_path / "labels.jsonl"
    rows = [
        {
            "root_account_uuid": label.root_account_uuid,
            "user_id": label.user_id,
            "course_id": label.course_id,
            "decline_from": label.decline_from.isoformat(),
        }
        for label in semester.labels()
    ]
    unknown = {**rows[0], "user_id": "1"}
    labels.write_text("".join(json.dumps(row) + "\n" for row in [*rows, unknown]))
    return [str(write("semester.jsonl", recording)), "--labels", str(labels)]


def test_labels_are_reported_for_each_rule_and_for_all(labelled: list[str]) -> None:
    found = document(*labelled)

    labels = found["labels"]
    assert labels["declines"] == labels["declines_with_events"] + 1  # one of nobody
    assert 0 < labels["all"]["recall"] <= 1
    assert labels["all"]["recall"] >= max(each["recall"] for each in labels["by_rule"].values())
    assert labels["all"]["alerts"] == found["alerts_raised"]
    assert labels["all"]["false_alerts"] == sum(each["false_alerts"] for each in labels["by_rule"].values())
    assert labels["all"]["false_alerts_per_100_students_and_week"] == (
        100 * labels["all"]["false_alerts"] / (found["students"] * found["weeks"])
    )
    deepest = found["drops"]["student_courses_by_deepest"]
    assert 0 < sum(each["declining"] for each in deepest) < sum(each["count"] for each in deepest)
    assert "course_wide_drop" not in labels["by_rule"]


def test_one_rule_may_be_asked_alone(labelled: list[str]) -> None:
    found = document(*labelled, "--rule", "threshold_crossed")

    assert list(found["alerts_by_rule"]) == ["threshold_crossed"]
    assert found["alerts"] == sum(
        found["alerts_by_rule"]["threshold_crossed"][status] for status in ("opened", "escalated", "resolved")
    )
    assert found["labels"]["all"] == found["labels"]["by_rule"]["threshold_crossed"]


def test_a_longer_time_finds_no_less(labelled: list[str]) -> None:
    soon, late = (document(*labelled, "--within", days)["labels"]["all"] for days in ("5", "50"))

    assert soon["declines_found"] < late["declines_found"]
    assert soon["false_alerts"] == late["false_alerts"]


def test_labels_are_shown_to_people(labelled: list[str]) -> None:
    shown = backtest(*labelled).stdout

    assert "built-in defaults against the labels" in shown
    assert ALL in shown
    assert "truly" in shown


@pytest.mark.parametrize("line", [b"[]", b"{}", b"", b'{"root_account_uuid": "a"', b"7"])
def test_what_is_no_label_is_told_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "labels.jsonl"
    good = b'{"root_account_uuid":"a","user_id":"1","course_id":"2","decline_from":"2025-10-14"}'
    path.write_bytes(good + b"\n" + line + b"\n")

    with pytest.raises(InputError, match=r"^Line 2 of .*labels\.jsonl is no label"):
        read_labels(path)


def test_weeks_begin_on_monday() -> None:
    assert week_of("2025-09-01") == week_of("2025-09-07") == "2025-09-01"
    assert week_of("2025-08-31") == "2025-08-25"
    assert week_of("0001-01-01") == "0001-01-01"
