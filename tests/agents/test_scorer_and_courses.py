"""The scorer and the agent of courses: what they send is the same however their work is cut into pieces."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from models.drops import encode_course_drop
from models.headers import RAW_TIMESTAMP
from models.records import GradeRecord, encode_record
from tables.parameters import Rules
from tables.rulebook import AccountRules, Rulebook
from tests.agents.fakes import TOPOLOGY, Bench, Message
from tests.models.test_drops import drop
from tests.tables.histories import deleted, graded, histories, in_order, scored

EVERY_RULE = Rulebook(
    Rules.model_validate(
        {"hidden_score_drop": {"enabled": True}, "course_wide_drop": {"min_students": 2, "window": "1d"}}
    )
)
ALERTS = (TOPOLOGY.alerts.name, TOPOLOGY.staff_alerts.name)


def message(record: GradeRecord, raw_timestamp: bytes = b"1000") -> Message:
    return Message(encode_record(record), record.key, [(RAW_TIMESTAMP, raw_timestamp)])


async def work(messages: list[Message], cuts: set[int], flushes: set[int]) -> Bench:
    """Let the agents work on messages, a new chunk at each cut, and a flush before some of them."""
    bench = Bench(EVERY_RULE)
    counted = 0
    ends = sorted({cut for cut in cuts if 0 < cut < len(messages)} | {len(messages)})
    for begin, end in zip([0, *ends], ends, strict=False):
        if begin in flushes:
            bench.flush()
        await bench.score(messages[begin:end])
        drops = bench.outlet.to(TOPOLOGY.course_drops.name)
        if drops[counted:]:
            await bench.count(drops[counted:])
        counted = len(drops)
    bench.flush()
    return bench


_places = st.sets(st.integers(1, 60))


@settings(max_examples=50)
@given(st.lists(histories(), min_size=1, max_size=3), st.randoms(), _places, _places)
def test_chunks_and_flushes_change_nothing_that_is_sent_or_kept(
    students: list[list[GradeRecord]], chance: random.Random, cuts: set[int], flushes: set[int]
) -> None:
    history = [
        record.model_copy(update={"user_id": str(student)})
        for student, records in enumerate(students)
        for record in records
    ]
    chance.shuffle(history)
    messages = [message(record) for record in history]
    if not messages:
        return
    once = asyncio.run(work(messages, set(), set()))
    pieces = asyncio.run(work(messages, cuts, flushes))
    for topic in (*ALERTS, TOPOLOGY.course_drops.name):
        of_students = [m for m in once.outlet.to(topic) if m.json["user_id"] is not None]
        assert [m for m in pieces.outlet.to(topic) if m.json["user_id"] is not None] == of_students
        assert {m.value for m in pieces.outlet.to(topic)} == {m.value for m in once.outlet.to(topic)}
    assert once.scorer.table.rows == pieces.scorer.table.rows  # type: ignore[attr-defined]
    assert once.courses.table.rows == pieces.courses.table.rows  # type: ignore[attr-defined]
    newest = {m.key: m.value for m in once.outlet.to(TOPOLOGY.snapshots.name)}
    in_pieces = {m.key: m.value for m in pieces.outlet.to(TOPOLOGY.snapshots.name)}
    assert {k: v for k, v in in_pieces.items() if v is not None} == {
        k: v for k, v in newest.items() if v is not None
    }


async def test_an_opened_score_drop_goes_to_its_course_with_the_raw_messages_time() -> None:
    bench = Bench(EVERY_RULE)
    await bench.score([message(scored(0, 95.0)), message(scored(1, 80.0)), message(scored(2, 70.0))])
    (opened, escalated) = [m for m in bench.outlet.to(*ALERTS) if m.json["rule"] == "score_drop"]
    (dropped,) = bench.outlet.to(TOPOLOGY.course_drops.name)
    assert (dropped.key, dropped.json["alert_id"]) == (b"school:1", opened.json["alert_id"])
    assert escalated.json["status"] == "escalated"
    assert dict(dropped.headers)[RAW_TIMESTAMP] == b"1000"
    assert dict(opened.headers)["gradewatch.rules"] == EVERY_RULE.digest.encode()


async def test_a_course_is_told_of_in_its_own_name() -> None:
    bench = Bench(EVERY_RULE)
    drops = [Message(encode_course_drop(drop(user_id=str(student)))) for student in range(3)]
    await bench.count(drops)
    (alert,) = bench.outlet.sent
    assert (alert.topic, alert.key, alert.json["user_id"]) == (TOPOLOGY.staff_alerts.name, b"r:565", None)
    await asyncio.sleep(0)
    labels = {"rule": "course_wide_drop", "status": "opened", "severity": "critical"}
    assert bench.figure("gradewatch_alerts_total", **labels) == 1
    assert bench.figure("gradewatch_raw_to_alert_seconds_count") == 0  # these drops have no raw timestamp


async def test_what_is_no_drop_is_a_dead_letter() -> None:
    bench = Bench(EVERY_RULE)
    await bench.count([Message(None), Message(b"{}"), Message(encode_course_drop(drop()))])
    letters = bench.outlet.to(TOPOLOGY.dead_letters.name)
    assert [letter.value for letter in letters] == [None, b"{}"]
    assert bench.figure("gradewatch_dead_letters_total", reason="invalid_body") == 2


async def test_a_raw_timestamp_that_is_none_is_passed_over() -> None:
    bench = Bench(EVERY_RULE)
    await bench.score([message(scored(0, 95.0)), message(scored(1, 80.0), raw_timestamp=b"soon")])
    (dropped,) = bench.outlet.to(TOPOLOGY.course_drops.name)
    assert RAW_TIMESTAMP not in dict(dropped.headers)


async def test_an_account_and_a_course_are_judged_by_their_own_rules() -> None:
    off = Rules.model_validate({"score_drop": {"enabled": False}})
    bench = Bench(Rulebook(Rules(), {"school": AccountRules(off, {"2": Rules()})}))
    history = [scored(day, score, course_id=c) for c in "12" for day, score in ((0, 95.0), (1, 80.0))]
    elsewhere = [record.model_copy(update={"root_account_uuid": "other"}) for record in history]
    await bench.score([message(record) for record in (*history, *elsewhere)])
    assert [(m.json["root_account_uuid"], m.json["course_id"]) for m in bench.outlet.to(*ALERTS)] == [
        ("school", "2"),
        ("other", "1"),
        ("other", "2"),
    ]


async def test_rules_are_replaced_between_two_chunks() -> None:
    bench = Bench(Rulebook())
    stricter = Rulebook(Rules.model_validate({"threshold_crossed": {"thresholds": [95]}}))
    high, low = [message(record) for record in in_order([scored(0, 94.0), scored(1, 93.0)])]
    await bench.score([high])
    bench.rules.replace(stricter)
    await bench.score([low])
    (alert,) = bench.outlet.to(*ALERTS)
    assert alert.json["subject"] == "95"
    assert dict(alert.headers)["gradewatch.rules"] == stricter.digest.encode()
    assert bench.figure("gradewatch_rules_info", hash=stricter.digest) == 1
    assert bench.figure("gradewatch_rules_info", hash=Rulebook().digest) is None


async def test_snapshots_have_the_window_of_the_default_rules() -> None:
    own = Rules.model_validate({"score_drop": {"window": "1d"}})
    book = Rulebook(Rules.model_validate({"score_drop": {"window": "3d"}}), {"school": AccountRules(own)})
    bench = Bench(book)
    await bench.score([message(scored(0, 95.0))])
    bench.flush()
    (shown,) = bench.outlet.to(TOPOLOGY.snapshots.name)
    assert shown.json["window"]["days"] == 3


async def sent_by_successor(*records: GradeRecord) -> list[Message]:
    """Return the snapshots that a worker sends to whom all of a crashed one's records come at once."""
    bench = Bench(EVERY_RULE)
    await bench.score([message(record) for record in records])
    bench.flush()
    return bench.outlet.to(TOPOLOGY.snapshots.name)


async def test_what_a_crashed_worker_may_have_shown_is_taken_back() -> None:
    for hides in (deleted(1), scored(500, 80.0, course_id="9")):
        snapshots = await sent_by_successor(scored(0, 95.0), hides)
        assert [m.value for m in snapshots if m.key == b"school:2:1"] == [None]
    snapshots = await sent_by_successor(graded(0, "5", 9.0), graded(1, "5", 9.0, muted=True))
    assert [m.value for m in snapshots] == [None]


async def test_nothing_is_said_of_a_course_that_nobody_can_have_shown() -> None:
    assert not await sent_by_successor(graded(0, "5", 9.0, muted=True), graded(1, "6", 9.0, muted=True))
    assert not await sent_by_successor(graded(0, "5", 9.0, muted=True), deleted(1))


async def test_a_snapshot_equal_to_the_last_one_sent_is_not_sent_again() -> None:
    bench = Bench(EVERY_RULE)
    shown = []
    for record in (scored(0, 95.0), graded(1, "5", 9.0, muted=True), graded(2, "6", 9.0, muted=True)):
        await bench.score([message(record)])
        bench.flush()
        shown.append(len(bench.outlet.to(TOPOLOGY.snapshots.name)))
    assert shown == [1, 1, 1]
