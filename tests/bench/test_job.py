"""The peers' job is Gradewatch's own: same reading, same rule, the same alerts for the same events."""

import re

from bench.contenders.job import Scores, decode_scores, encode_scores, judge, read, time_text
from bench.fill import AlertKey, School, by_student, firehose, grade_events
from models.grades import Ignored
from models.grades import read as gradewatch_reads
from models.records import CourseGradeChange
from tables.rules import DEFAULT_RULES, evaluate
from tables.scores import fold
from tables.state import NO_STATE, StudentState
from tests.kafka import POM, ROOT


def test_the_peers_find_the_alerts_that_gradewatch_finds() -> None:
    kept: dict[tuple[str, str], Scores] = {}
    states: dict[bytes, StudentState] = {}
    of_peers: set[AlertKey] = set()
    of_gradewatch: set[AlertKey] = set()
    for event in grade_events(6_000, 150):
        grade = read(event.value)
        assert grade == event.grade
        assert grade is not None
        scores = kept.setdefault((grade.user_id, grade.course_id), Scores())
        finding = judge(scores, grade.at, grade.score, grade.deleted)
        if finding is not None:
            of_peers.add((grade.student, grade.course_id, finding.status, time_text(grade.at)))

        record = gradewatch_reads(event.value)
        assert isinstance(record, CourseGradeChange)
        before = states.get(record.key, NO_STATE)
        after = fold(before.scores, record)
        holds, drafts = evaluate(before.holds, before.scores, after, record, DEFAULT_RULES)
        states[record.key] = StudentState(after, holds)
        of_gradewatch |= {
            (record.key.decode(), draft.course_id or "", draft.status, draft.event_time)
            for draft in drafts
            if draft.rule == "score_drop"
        }
    assert {status for _, _, status, _ in of_peers} == {"opened", "escalated", "resolved"}
    assert of_peers == of_gradewatch


def test_a_late_score_corrects_the_window_and_is_silent() -> None:
    scores = Scores()
    assert judge(scores, 1_000, 90.0, False) is None
    assert judge(scores, 3_000, 85.0, False) is None
    assert judge(scores, 2_000, 99.0, False) is None
    assert judge(scores, 2_000, 99.0, False) is None
    finding = judge(scores, 4_000, 84.0, False)
    assert finding is not None
    assert (finding.status, finding.previous, finding.reference) == ("opened", 85.0, 99.0)
    assert decode_scores(encode_scores(scores)) == scores


def test_grades_are_as_large_as_those_of_canvas() -> None:
    sizes = [len(event.value) for event in grade_events(500)]
    assert 1_200 < sum(sizes) / len(sizes) < 1_600


def test_one_in_ten_events_of_the_firehose_is_a_grade() -> None:
    events = list(firehose(400))
    assert sum(event.grade is not None for event in events) == 40
    for event in events:
        assert read(event.value) == event.grade
        assert isinstance(gradewatch_reads(event.value), Ignored) is (event.grade is None)


def test_a_student_stays_on_one_partition() -> None:
    place = by_student(4)
    school = School(400)
    placed: dict[str, set[int]] = {}
    for event in school.events(2_000):
        assert event.grade is not None
        placed.setdefault(event.grade.user_id, set()).add(place(event.grade))
    assert {len(partitions) for partitions in placed.values()} == {1}
    assert {partition for partitions in placed.values() for partition in partitions} == {0, 1, 2, 3}


def test_kafka_streams_is_of_the_brokers_release() -> None:
    release = re.compile(r"<kafka\.version>(.+?)</kafka\.version>")
    peers = (ROOT / "bench" / "contenders" / "kafka_streams" / "pom.xml").read_text()
    assert len(release.findall(peers)) == 1
    assert release.findall(peers) == release.findall(POM.read_text())


def test_the_rule_has_the_same_parameters_everywhere() -> None:
    java = (ROOT / "bench/contenders/kafka_streams/src/main/java/bench/Scores.java").read_text()
    rule = DEFAULT_RULES.score_drop
    for name, value in (
        ("MIN_DROP", rule.min_drop),
        ("CRITICAL_DROP", rule.critical_drop),
        ("REARM", rule.rearm),
    ):
        found = re.search(rf"{name} = ([\d.]+);", java)
        assert found is not None
        assert float(found[1]) == value
    assert "WINDOW_MS = 7L * 86_400_000" in java
    assert rule.window == 7 * 86_400_000
