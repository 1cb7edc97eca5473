"""What must come out, told by the pure functions over the raw topic as it lies there.

records + ignored + dead letters = raw messages. A grade record is what `read` gives for its raw message; the
tables and snapshots are the fold of the set of records; alerts are the evaluation of the records in the
order in which they lie in their topic. Where a worker was killed, or lost its partitions, some of it may be
there twice: then sets are compared, and repeats are counted and returned.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

import orjson
from aiokafka import ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner

from app.cli import version
from models.alerts import decode_alert
from models.drops import decode_course_drop, encode_course_drop
from models.grades import Ignored, Rejected, read
from models.records import GradeRecord, decode_record, encode_record
from models.snapshots import encode_snapshot
from models.times import canonical_time, time_from_epoch_ms
from tables.cases import AlertDraft
from tables.courses import NO_DROPS, CourseDrops, count_drop, decode_course_drops, drop_of
from tables.rulebook import DEFAULT_RULEBOOK, Rulebook
from tables.rules import NO_HOLDS, Holds, evaluate
from tables.scores import EMPTY, StudentScores, fold
from tables.snapshot import snapshot
from tables.state import StudentState, decode_state
from tests.e2e.harness import PARTITIONS, Deployment

PARTS = ("records", "dead letters", "alerts", "tables", "snapshots")
"""What is compared, each by itself."""

_ADDED_TO_DEAD_LETTERS = 10
"""Headers that say why: four of Gradewatch's own and six of Kafka Streams'."""


@dataclass
class Repeats:
    """How often something is there more than once."""

    records: int = 0
    dead_letters: int = 0
    alerts: int = 0
    course_drops: int = 0

    def __add__(self, other: "Repeats") -> "Repeats":
        return Repeats(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def __bool__(self) -> bool:
        return bool(self.records or self.dead_letters or self.alerts or self.course_drops)


@dataclass
class Topics:
    """All that a deployment has been given and has written."""

    raw: list[ConsumerRecord]
    records: list[ConsumerRecord]
    dead_letters: list[ConsumerRecord]
    alerts: list[ConsumerRecord]
    staff_alerts: list[ConsumerRecord]
    snapshots: list[ConsumerRecord]
    changelog: list[ConsumerRecord]
    course_drops: list[ConsumerRecord]
    drops_changelog: list[ConsumerRecord]

    @classmethod
    async def read(cls, deployment: Deployment) -> "Topics":
        topology = deployment.topology
        return cls(
            raw=await deployment.read(topology.raw),
            records=await deployment.read(topology.records),
            dead_letters=await deployment.read(topology.dead_letters),
            alerts=await deployment.read(topology.alerts),
            staff_alerts=await deployment.read(topology.staff_alerts),
            snapshots=await deployment.read(topology.snapshots),
            changelog=await deployment.read(topology.scores_changelog),
            course_drops=await deployment.read(topology.course_drops),
            drops_changelog=await deployment.read(topology.drops_changelog),
        )


@dataclass
class Expected:
    """What each raw message is."""

    records: list[tuple[ConsumerRecord, GradeRecord]] = field(default_factory=list)
    rejected: list[tuple[ConsumerRecord, Rejected]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, raw: Iterable[ConsumerRecord]) -> "Expected":
        expected = cls()
        for message in raw:
            match read(message.value, message.timestamp):
                case Ignored(event_name=name):
                    expected.ignored[name] += 1
                case Rejected() as rejected:
                    expected.rejected.append((message, rejected))
                case record:
                    expected.records.append((message, record))
        return expected

    @property
    def outcomes(self) -> Counter[str]:
        """Numbers as the worker's metrics give them."""
        return +Counter(record=len(self.records), rejected=len(self.rejected), ignored=self.ignored.total())

    def by_student(self) -> dict[bytes, list[GradeRecord]]:
        """Return each student's records; within a raw partition in its order."""
        students = defaultdict(list)
        for _, record in self.records:
            students[record.key].append(record)
        return students


@dataclass
class Examination:
    """What came of holding everything against the oracle."""

    repeats: Repeats = field(default_factory=Repeats)
    #: What was compared (PARTS), in that order.
    compared: list[str] = field(default_factory=list)
    #: By part, the first difference in words.
    differences: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Note a difference that shows in the block as one of this part."""
        if name not in self.compared:
            self.compared.append(name)
        try:
            yield
        except AssertionError as error:
            self.differences.setdefault(name, str(error) or "differs")


def verify(
    topics: Topics,
    *,
    repeats_allowed: bool = False,
    students_in_order: bool = False,
    book: Rulebook = DEFAULT_RULEBOOK,
) -> Repeats:
    """Fail on any difference from what must come out (`examine`); return what is there repeatedly."""
    examination = examine(
        topics, repeats_allowed=repeats_allowed, students_in_order=students_in_order, book=book
    )
    assert not examination.differences, "\n".join(examination.differences.values())
    return examination.repeats


def examine(
    topics: Topics,
    *,
    repeats_allowed: bool = False,
    students_in_order: bool = False,
    book: Rulebook = DEFAULT_RULEBOOK,
) -> Examination:
    """Hold everything against the oracle, with these rules.

    With `students_in_order` each student's events lie on one raw partition in the order in which they
    happened; only then do alerts and holds not depend on the order of arrival, and only then are they
    compared where repeats are allowed.
    """
    expected = Expected.of(topics.raw)
    assert len(expected.records) + len(expected.rejected) + expected.ignored.total() == len(topics.raw)
    found = Examination()
    repeats = found.repeats
    with found.part("records"):
        repeats.records = _verify_records(expected, topics.records, repeats_allowed)
    with found.part("dead letters"):
        repeats.dead_letters = _verify_dead_letters(expected, topics.dead_letters, repeats_allowed)
    if students_in_order:
        judged = [_judge(records, book) for records in expected.by_student().values()]
        holds = {key: held for key, (held, _) in zip(expected.by_student(), judged, strict=True)}
        drafts = [draft for _, of_student in judged for draft in of_student]
    else:
        by_student: dict[bytes, list[GradeRecord]] = defaultdict(list)
        for message in topics.records:
            by_student[message.key].append(decode_record(message.value))
        holds, drafts = {}, []
        for key, records in by_student.items():
            holds[key], of_student = _judge(records, book)
            drafts.extend(of_student)
    if students_in_order or not repeats_allowed:
        of_courses: list[AlertDraft] = []
        with found.part("alerts"):
            repeats.course_drops = _verify_course_drops(drafts, topics, repeats_allowed)
        with found.part("tables"):
            of_courses = _verify_drops_table(topics, book)
        with found.part("alerts"):
            alerts = [*topics.alerts, *topics.staff_alerts]
            repeats.alerts = _verify_alerts([*drafts, *of_courses], alerts, repeats_allowed, book)
            _verify_audiences(topics)
    if not repeats_allowed:
        with found.part("alerts"):
            _verify_order_of_alerts(topics)
    states = {
        key: StudentState(reduce(fold, records, EMPTY), holds.get(key, NO_HOLDS))
        for key, records in expected.by_student().items()
    }
    with_holds = students_in_order or not repeats_allowed
    with found.part("tables"):
        _verify_table(states, topics.changelog, with_holds)
    with found.part("snapshots"):
        _verify_snapshots(states, expected, topics.snapshots, with_holds, book.default.score_drop.window)
    return found


def same_state(ones: Sequence[ConsumerRecord], others: Sequence[ConsumerRecord]) -> bool:
    """Whether two readings of a compacted topic hold the same."""
    return newest(ones) == newest(others)


def newest(messages: Iterable[ConsumerRecord]) -> dict[bytes, bytes]:
    """Return each key's newest value, as compaction leaves it; tombstones end a key."""
    values = {message.key: message.value for message in messages}
    return {key: value for key, value in values.items() if value is not None}


def alert_ids(topics: Topics) -> Counter[str]:
    return Counter(orjson.loads(m.value)["alert_id"] for m in (*topics.alerts, *topics.staff_alerts))


# -- one topic after the other -----------------------------------------------------------------------------


def _cloud_event(kind: str, record: Mapping[str, Any], ce_id: str, key: bytes) -> dict[str, bytes]:
    return {
        "ce_specversion": b"1.0",
        "ce_id": ce_id.encode(),
        "ce_source": f"gradewatch/{record['root_account_uuid']}".encode(),
        "ce_type": f"gradewatch.{kind}.v1".encode(),
        "ce_time": record["event_time"].encode(),
        "ce_subject": key,
        "content-type": b"application/json",
    }


def _verify_records(expected: Expected, actual: Sequence[ConsumerRecord], repeats_allowed: bool) -> int:
    must: Counter[Any] = Counter()
    for raw, record in expected.records:
        headers = _cloud_event("grade-record", record.model_dump(), record.event_id, record.key)
        if raw.timestamp >= 0:
            headers["gradewatch.raw_timestamp"] = str(raw.timestamp).encode()
        must[partition_of(record.key), record.key, encode_record(record), frozenset(headers.items())] += 1
    return _compare(
        "grade-records",
        must,
        Counter((m.partition, m.key, m.value, frozenset(m.headers)) for m in actual),
        repeats_allowed,
    )


def _verify_dead_letters(expected: Expected, actual: Sequence[ConsumerRecord], repeats_allowed: bool) -> int:
    must = Counter(
        (
            raw.key,
            raw.value,
            tuple(raw.headers),
            (
                ("__streams.errors.exception", b"gradewatch.Rejected"),
                ("__streams.errors.message", f"{rejected.reason}: {rejected.detail}".encode()),
                ("__streams.errors.offset", b"%d" % raw.offset),
                ("__streams.errors.partition", b"%d" % raw.partition),
                ("__streams.errors.stacktrace", b""),
                ("__streams.errors.topic", raw.topic.encode()),
                ("gradewatch.detail", rejected.detail.encode()),
                ("gradewatch.reason", rejected.reason.encode()),
                ("gradewatch.version", version().encode()),
            ),
        )
        for raw, rejected in expected.rejected
    )
    seen: Counter[Any] = Counter()
    for message in actual:
        original = tuple(message.headers[:-_ADDED_TO_DEAD_LETTERS])
        added = dict(message.headers[-_ADDED_TO_DEAD_LETTERS:])
        failed_at = added.pop("gradewatch.failed_at").decode()
        assert canonical_time(failed_at) == failed_at
        assert failed_at <= time_from_epoch_ms(message.timestamp)
        if message.key is not None:
            assert message.partition == partition_of(message.key)
        seen[message.key, message.value, original, tuple(sorted(added.items()))] += 1
    return _compare("dead-letters", must, seen, repeats_allowed)


def _verify_alerts(
    drafts: Sequence[AlertDraft], actual: Sequence[ConsumerRecord], repeats_allowed: bool, book: Rulebook
) -> int:
    must = Counter(frozenset(asdict(draft).items()) for draft in drafts)
    assert max(must.values(), default=1) == 1
    seen: Counter[Any] = Counter()
    for message in actual:
        alert = orjson.loads(message.value)
        decode_alert(message.value)
        whom = alert["course_id"] if alert["rule"] == "course_wide_drop" else alert["user_id"]
        subject = f"{alert['root_account_uuid']}:{whom}".encode()
        assert message.key == subject
        assert message.partition == partition_of(subject)
        rules = {"gradewatch.rules": book.digest.encode()}
        assert dict(message.headers) == rules | _cloud_event("alert", alert, alert["alert_id"], subject)
        assert alert.pop("detected_at") <= time_from_epoch_ms(message.timestamp)
        seen[frozenset(alert.items())] += 1
    return _compare("alerts", must, seen, repeats_allowed)


def _verify_audiences(topics: Topics) -> None:
    assert {orjson.loads(message.value)["audience"] for message in topics.alerts} <= {"student"}
    assert {orjson.loads(message.value)["audience"] for message in topics.staff_alerts} <= {"staff"}


def _verify_order_of_alerts(topics: Topics) -> None:
    """Within a partition alerts lie in the order of the records that led to them."""
    place = {orjson.loads(m.value)["event_id"]: m.offset for m in reversed(topics.records)}
    for messages in (topics.alerts, topics.staff_alerts):
        for partition in range(PARTITIONS):
            led_to = [orjson.loads(m.value)["event_id"] for m in messages if m.partition == partition]
            places = [place[event_id] for event_id in led_to if event_id is not None]
            assert places == sorted(places), f"alerts of partition {partition} are out of order"


def _verify_course_drops(drafts: Sequence[AlertDraft], topics: Topics, repeats_allowed: bool) -> int:
    """Each score drop that opened lies in the partition of its course, with its raw message's time."""
    raw_timestamps = {  # of the first, where an event came twice
        orjson.loads(m.value)["event_id"]: dict(m.headers).get("gradewatch.raw_timestamp")
        for m in reversed(topics.records)
    }
    must: Counter[Any] = Counter()
    for draft in drafts:
        drop = drop_of(draft)
        if drop is None:
            continue
        headers = _cloud_event("course-drop", drop.model_dump(), drop.alert_id, drop.key)
        if (raw_timestamp := raw_timestamps[drop.event_id]) is not None:
            headers["gradewatch.raw_timestamp"] = raw_timestamp
        must[partition_of(drop.key), drop.key, encode_course_drop(drop), frozenset(headers.items())] += 1
    seen = Counter((m.partition, m.key, m.value, frozenset(m.headers)) for m in topics.course_drops)
    return _compare("course-drops", must, seen, repeats_allowed)


def _verify_drops_table(topics: Topics, book: Rulebook) -> list[AlertDraft]:
    """Hold the table of courses against the drops as they lie there; return the alerts that must be.

    Which alerts depends on the order only where a drop comes days of event time behind its course's newest.
    """
    courses: dict[bytes, CourseDrops] = {}
    alerts = []
    for message in topics.course_drops:
        drop = decode_course_drop(message.value)
        rule = book.for_course(drop.root_account_uuid, drop.course_id).course_wide_drop
        courses[drop.key], alert = count_drop(courses.get(drop.key, NO_DROPS), drop, rule)
        alerts += [alert] if alert is not None else []
    table = {key: decode_course_drops(value) for key, value in newest(topics.drops_changelog).items()}
    assert {m.partition for m in topics.drops_changelog if m.partition != partition_of(m.key)} == set()
    assert table == courses, "the table of courses is not what the drops lead to"
    return alerts


def _verify_table(
    states: Mapping[bytes, StudentState], changelog: Sequence[ConsumerRecord], with_holds: bool
) -> None:
    must = {key: state for key, state in states.items() if state != StudentState()}
    table = {key: decode_state(value) for key, value in newest(changelog).items()}
    assert {m.partition for m in changelog if m.partition != partition_of(m.key)} == set()
    _same_keys("table", must, table)
    different = [
        key
        for key, state in must.items()
        if table[key].scores != state.scores or (with_holds and table[key].holds != state.holds)
    ]
    assert not different, (
        f"{len(different)} of {len(must)} states differ, such as {different[0]!r}: "
        f"{table[different[0]]} instead of {must[different[0]]}"
    )


def _verify_snapshots(
    states: Mapping[bytes, StudentState],
    expected: Expected,
    snapshots: Sequence[ConsumerRecord],
    with_holds: bool,
    window_ms: int,
) -> None:
    must: dict[bytes, dict[str, Any]] = {}
    for key, state in states.items():
        root_account_uuid, _, user_id = key.decode().rpartition(":")
        for course_id in state.scores.courses:
            shown = snapshot(state, root_account_uuid, user_id, course_id, window_ms)
            if shown is not None:
                must[shown.key] = orjson.loads(encode_snapshot(shown))
    seen = {key: orjson.loads(value) for key, value in newest(snapshots).items()}
    _same_keys("student-scores", must, seen)
    for key, shown_now in must.items():
        given = seen[key]
        if not with_holds:
            shown_now, given = {**shown_now, "alerts_open": None}, {**given, "alerts_open": None}
        assert given == shown_now, f"snapshot {key!r}"

    event_times = {record.event_id: record for _, record in expected.records}
    for message in snapshots:
        headers = dict(message.headers)
        led_to_it = event_times[headers["ce_id"].decode()]
        student = message.key.rpartition(b":")[0]
        assert student == led_to_it.key
        assert message.partition == partition_of(message.key)
        assert headers == _cloud_event(
            "student-scores", led_to_it.model_dump(), led_to_it.event_id, message.key
        )


# -- helpers -----------------------------------------------------------------------------------------------


def _judge(records: Iterable[GradeRecord], book: Rulebook) -> tuple[Holds, list[AlertDraft]]:
    """Evaluate one student's records in the order given."""
    scores: StudentScores = EMPTY
    holds, drafts = NO_HOLDS, list[AlertDraft]()
    for record in records:
        after = fold(scores, record)
        rules = book.for_course(record.root_account_uuid, record.course_id)
        holds, found = evaluate(holds, scores, after, record, rules)
        drafts.extend(found)
        scores = after
    return holds, drafts


def partition_of(key: bytes) -> int:
    """Return the partition where Java's default partitioner puts a key."""
    partitions = list(range(PARTITIONS))
    return int(DefaultPartitioner()(key, partitions, partitions))


def _compare(what: str, must: Counter[Any], seen: Counter[Any], repeats_allowed: bool) -> int:
    """Fail on what is missing, and on what was never to be; return how much is there again."""
    missing, surplus = must - seen, seen - must
    unknown = surplus.keys() - must.keys()
    assert not missing, f"{what}: {missing.total()} of {must.total()} missing, such as {next(iter(missing))}"
    assert not unknown, f"{what}: {len(unknown)} that nothing led to, such as {next(iter(unknown))}"
    assert repeats_allowed or not surplus, f"{what}: {surplus.total()} repeated"
    return surplus.total()


def _same_keys(what: str, must: Mapping[bytes, Any], seen: Mapping[bytes, Any]) -> None:
    assert must.keys() - seen.keys() == set(), f"{what}: keys are missing"
    assert seen.keys() - must.keys() == set(), f"{what}: keys that should not be there"
