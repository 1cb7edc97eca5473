"""Recorded events and what is read from them: the folder is the test.

`<case>.in.json` (`.in.bin` where it is no JSON) is the value of a raw message, `<case>.out.json` what comes
of it: `record`, `ignored` or `rejected`. The traps are the ways in which what Canvas sends is not what its
documentation leads one to expect; they keep their number in all tests.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from models.grades import Rejected, read
from models.records import MisnamedGradeOverride, decode_record, encode_record
from tests.models.outcomes import outcome_of
from tests.models.reference_reader import read_plainly

FOLDER = Path(__file__).parent.parent / "fixtures" / "canvas"
INPUTS = sorted(FOLDER.glob("*.in.*"))
CASES = {path.name.partition(".")[0]: path for path in INPUTS}


def expected(case: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{case}.out.json").read_bytes())
    return content


@pytest.mark.parametrize("case", CASES)
def test_recorded_event_is_read_as_recorded(case: str) -> None:
    value, out = CASES[case].read_bytes(), expected(case)
    timestamp = out.get("kafka_timestamp")
    result = read(value, timestamp)
    kind, what = outcome_of(result)
    assert (kind, what) == read_plainly(value, timestamp)
    if isinstance(result, Rejected):
        assert (kind, result.reason, result.event_name) == (
            "rejected",
            out["rejected"]["reason"],
            out["rejected"]["event_name"],
        )
        assert result.detail.startswith(out["rejected"]["detail"])
    else:
        assert what == out[kind]
    assert isinstance(result, MisnamedGradeOverride) is out.get("misnamed", False)


@pytest.mark.parametrize("case", [case for case in CASES if "record" in expected(case)])
def test_recorded_record_survives_its_topic(case: str) -> None:
    record = read(CASES[case].read_bytes())
    assert not isinstance(record, Rejected)
    value = encode_record(record)  # type: ignore[arg-type]  # it is a record, says the fixture
    assert json.loads(value) == expected(case)["record"]
    assert decode_record(value).model_dump() == expected(case)["record"]


def test_every_output_has_its_input_and_every_trap_its_case() -> None:
    assert {path.name.partition(".")[0] for path in FOLDER.glob("*.out.json")} == set(CASES)
    assert len(CASES) == len(INPUTS)
    assert {case[4:6] for case in CASES if case.startswith("trap")} == {f"{n:02}" for n in range(1, 23)}
    assert sum(case.startswith("documented_") for case in CASES) == 4


def test_trap12_and_trap11_events_of_sections_and_members_are_told_apart() -> None:
    ids = {expected(case)["record"]["event_id"] for case in CASES if case.startswith(("trap11_", "trap12_"))}
    assert len(ids) == 4


def test_trap16_the_same_event_has_the_same_id_however_it_was_written() -> None:
    first, second = CASES["trap16_as_sent"], CASES["trap16_same_event_reserialised"]
    assert first.read_bytes() != second.read_bytes()
    assert read(first.read_bytes()) == read(second.read_bytes())
