"""What happens to events on their way: repeats, disorder, poison, and how much of each."""

from collections import Counter

import orjson
import pytest

from app.semester import Options, RawEvent, Semester
from app.semester.options import chance, size_of
from app.semester.poison import SPOILS, Poisoner
from models.grades import Reason, Rejected, read

SMALL = {"seed": 4, "events": 12_000}


def events_with(**options: float) -> list[RawEvent]:
    return list(Semester(Options(**{**SMALL, **options})).events())  # type: ignore[arg-type]


def test_nothing_goes_wrong_unless_it_is_asked_for() -> None:
    events = events_with()

    assert not any(event.repeated or event.kind == "poison" for event in events)
    assert all(event.value for event in events)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_other_events_have_their_share(share: float) -> None:
    kinds = Counter(event.kind for event in events_with(other_share=share))

    assert kinds["other"] / kinds.total() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("duplicates", "poison"), [(0.05, 0.0), (0.0, 0.05), (0.4, 0.3)])
def test_repeats_and_poison_have_their_share_of_all_messages(duplicates: float, poison: float) -> None:
    events = events_with(duplicates=duplicates, poison=poison)

    assert len(events) == SMALL["events"]
    assert sum(event.repeated for event in events) / len(events) == pytest.approx(duplicates, abs=0.01)
    assert Counter(e.kind for e in events)["poison"] / len(events) == pytest.approx(poison, abs=0.01)


def test_a_repeat_equals_an_event_that_came_before() -> None:
    seen = set()
    for event in events_with(duplicates=0.2):
        if event.repeated:
            assert event.value in seen
        seen.add(event.value)


def test_a_repeat_follows_at_once_where_no_disorder_is_asked_for() -> None:
    times = [event.event_time_ms for event in events_with(duplicates=0.2)]

    assert times == sorted(times)


def test_disorder_is_there_and_within_its_bound() -> None:
    events = events_with(disorder_seconds=1200, duplicates=0.1)
    newest_ms, late_ms = 0, []
    for event in events:
        newest_ms = max(newest_ms, event.event_time_ms)
        late_ms.append(newest_ms - event.event_time_ms)

    assert max(late_ms) <= 1_200_000
    assert max(late_ms) > 600_000
    assert 0.03 < sum(late > 0 for late in late_ms) / len(events) < 0.3


def test_disorder_loses_nothing() -> None:
    def whole(disorder_seconds: float) -> Counter[bytes | None]:
        options = Options(seed=4, students=10, weeks=2, disorder_seconds=disorder_seconds)
        return Counter(event.value for event in Semester(options).events())

    assert whole(1200) == whole(0)


# Poison


@pytest.mark.parametrize(
    ("reason", "way"), [(reason, way) for reason, ways in SPOILS.items() for way in range(len(ways))]
)
def test_each_way_to_spoil_an_event_is_rejected_for_its_reason(reason: Reason, way: int) -> None:
    semester = Semester(Options(**SMALL))  # type: ignore[arg-type]
    now_ms = semester.options.since_ms
    sound = Poisoner(semester.school, chance(1)).sound_event(now_ms)

    value = SPOILS[reason][way](sound, chance(2))

    outcome = read(value, now_ms)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is reason
    assert value is None or b"\n" not in value


def test_what_is_spoilt_was_sound_before() -> None:
    semester = Semester(Options(**SMALL))  # type: ignore[arg-type]
    now_ms = semester.options.since_ms
    sound = Poisoner(semester.school, chance(1)).sound_event(now_ms)

    assert not isinstance(read(orjson.dumps(sound), now_ms), Rejected)


def test_every_reason_is_reached_soon_and_stated() -> None:
    options = Options(seed=4, events=500, poison=0.1)
    poison = [event for event in Semester(options).events() if event.kind == "poison"]

    for event in poison:
        outcome = read(event.value, event.event_time_ms)
        assert isinstance(outcome, Rejected)
        assert outcome.reason == event.name
    assert {event.name for event in poison} == set(Reason)


def test_poison_of_the_future_hurts_nobody_where_there_is_no_clock() -> None:
    events = events_with(poison=0.05)
    students = {event.student for event in events}

    for event in events:
        if event.name == Reason.FUTURE_EVENT:
            record = read(event.value)
            assert not isinstance(record, Rejected)
            assert getattr(record, "key", None) not in students


# Size


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options", [{}, {"students": 30}, {"weeks": 2}, {"courses": 20}, {"other_share": 0.9}]
)
def test_as_many_events_as_asked_for_come_out(seed: int, options: dict[str, float]) -> None:
    asked = Options(seed=seed, events=6000, **options)  # type: ignore[arg-type]

    times = [event.event_time_ms for event in Semester(asked).events()]

    assert len(times) == 6000
    assert max(times) > asked.since_ms + 0.6 * (asked.until_ms - asked.since_ms)


def test_the_school_grows_with_the_events_unless_it_is_fixed() -> None:
    assert size_of(Options(events=10_000)).students < size_of(Options(events=100_000)).students
    fixed = size_of(Options(events=100_000, students=40, courses=3))
    assert (fixed.students, fixed.courses) == (40, 3)
    assert size_of(Options()).students == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"weeks": 0},
        {"students": 0},
        {"other_share": 1.0},
        {"poison": 0.6},
        {"poison": 0.5, "duplicates": 0.5},
        {"disorder_seconds": -1.0},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)  # type: ignore[arg-type]
