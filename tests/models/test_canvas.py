"""The raw events as documented: nothing left out, nothing made up, and what is written can be read."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from models.canvas import CANVAS_EVENT_NAMES, GRADE_EVENT_NAMES, GRADE_EVENTS, FinalGradeCustomStatusBody
from models.grades import read
from models.records import RECORD_TYPES, GradeRecordBase
from tests.models.test_fixtures import CASES

DOCUMENTED = {
    "course_grade_change": "documented_course_grade_change",
    "grade_change": "documented_grade_change",
    "grade_override": "documented_grade_override_misnamed",
    "final_grade_custom_status": "documented_final_grade_custom_status",
}


def documented(name: str) -> dict[str, Any]:
    """Return the documentation's example, under its right name."""
    example: dict[str, Any] = json.loads(CASES[DOCUMENTED[name]].read_bytes())
    example["metadata"]["event_name"] = name
    return example


def body_of(name: str) -> type[BaseModel]:
    body = GRADE_EVENTS[name].model_fields["body"].annotation
    assert isinstance(body, type)
    assert issubclass(body, BaseModel)
    return body


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_example_is_written_again_whole(name: str) -> None:
    example = documented(name)
    event = GRADE_EVENTS[name].model_validate(example)
    for content in (example["metadata"], example["body"]):
        for field in [field for field in content if content[field] is None]:
            del content[field]
    assert json.loads(event.model_dump_json(exclude_none=True)) == example


@pytest.mark.parametrize("name", DOCUMENTED)
def test_body_has_the_documented_fields_in_their_order(name: str) -> None:
    fields = [field for field in body_of(name).model_fields if field != "assignment_name"]
    if name == "grade_change":  # its example is sorted, as its list of fields
        assert fields == sorted(fields)
    assert fields == list(documented(name)["body"])


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_field_has_its_sentence(name: str) -> None:
    schema = GRADE_EVENTS[name].model_json_schema()
    for definition in schema["$defs"].values():
        assert definition["description"]
        for field in definition["properties"].values():
            assert field["description"].endswith(".")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_written_through_the_documented_types_is_read(name: str) -> None:
    value = GRADE_EVENTS[name].model_validate(documented(name)).model_dump_json(exclude_none=True).encode()
    record = read(value)
    assert isinstance(record, GradeRecordBase)
    assert record.type == name
    own = set(RECORD_TYPES[name].OWN_IDENTITY)
    assert own <= set(body_of(name).model_fields), "the reader knows no field that is not documented"


def test_assignment_name_is_written_though_undocumented() -> None:
    example = documented("grade_change")
    example["body"]["assignment_name"] = "Lab report 3"
    event = GRADE_EVENTS["grade_change"].model_validate(example)
    assert '"assignment_name":"Lab report 3"' in event.model_dump_json(exclude_none=True)


def test_no_status_may_be_an_empty_text() -> None:
    body = documented("final_grade_custom_status")["body"]
    none = {"override_status": "", "override_status_id": ""}
    assert FinalGradeCustomStatusBody.model_validate(body | none).override_status_id == ""


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("metadata", {"event_name": "heartbeat"}),
        ("metadata", {"event_time": "2019-12-11"}),
        ("body", {"user_id": 2.5}),
        ("body", {"user_id": "x"}),
    ],
)
@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_canvas_would_not_send_is_not_written(name: str, where: str, wrong: dict[str, Any]) -> None:
    example = documented(name)
    example[where] |= wrong
    with pytest.raises(ValidationError):
        GRADE_EVENTS[name].model_validate(example)


@pytest.mark.parametrize("name", sorted(GRADE_EVENT_NAMES - {"grade_change"}))
def test_a_time_is_written_with_its_offset(name: str) -> None:
    example = documented(name)
    example["body"]["updated_at"] = "2019-12-11T16:26:34"
    with pytest.raises(ValidationError):
        GRADE_EVENTS[name].model_validate(example)


def test_names_are_those_of_canvas_and_new_quizzes() -> None:
    new_quizzes = {name for name in CANVAS_EVENT_NAMES if name.startswith("quizzes.")}
    assert len(CANVAS_EVENT_NAMES - new_quizzes) == 97
    assert len(new_quizzes) == 11
    assert "outcomes.retry_outcome_alignment_clone" in CANVAS_EVENT_NAMES
    assert frozenset(DOCUMENTED) == GRADE_EVENT_NAMES == frozenset(RECORD_TYPES)
    assert GRADE_EVENT_NAMES < CANVAS_EVENT_NAMES
