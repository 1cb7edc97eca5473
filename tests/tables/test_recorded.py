"""What earlier releases kept is read by this one, and it goes on from there as they would have."""

from pathlib import Path

import orjson
import pytest

from tables.state import VERSION, decode_state
from tests.tables.recorded import Recording, recordings


@pytest.mark.parametrize("file", recordings(), ids=lambda file: file.stem)
def test_a_release_goes_on_from_what_an_earlier_one_kept(file: Path) -> None:
    recording = Recording.load(file)
    work = recording.go_on()
    assert {key: orjson.loads(value) for key, value in work.snapshots().items()} == {
        key: orjson.loads(value) for key, value in recording.snapshots.items()
    }
    assert work.alert_ids == recording.alert_ids


def test_every_form_that_a_release_has_written_is_recorded() -> None:
    formats = [Recording.load(file).format for file in recordings()]
    assert formats == list(range(1, VERSION + 1))


def test_a_recording_has_what_matters() -> None:
    recording = Recording.load(recordings()[-1])
    states = [decode_state(value) for value in recording.states.values()]
    courses = [course for state in states for course in state.scores.courses.values()]
    assert any(course.points for course in courses)
    assert any(course.submissions for course in courses)
    assert any(state.holds.courses for state in states)
    assert recording.drops
    assert len(recording.alert_ids) > 5
