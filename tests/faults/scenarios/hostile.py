"""6: messages made to do harm, as many as sound ones, and all of them dead letters byte for byte."""

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.topology import TopicSpec
from models.grades import Ignored, Reason, Rejected, read
from models.headers import original_headers
from models.records import encode_record
from tables.state import encode_state
from tests.clients import consume
from tests.e2e.events import by_student, semester
from tests.e2e.harness import PARTITIONS, RAW_PARTITIONS, Deployment, Raw
from tests.e2e.oracle import Topics, newest
from tests.faults.outcome import Outcome, Scenario
from tests.faults.stage import Stage, finish, resident_mib
from tests.tables.recorded import Work

#: Sound messages of a round, among as many hostile ones.
ROUND: Final = 20_000
#: How much a worker may grow by after a quarter of the rounds.
GROWTH_MIB: Final = 150.0
#: One in so many is larger than a raw message may be.
LARGE_EVERY: Final = 4_000
LARGE: Final = b'{"metadata":"' + b"x" * (2 * 1024 * 1024) + b'"}'

_SOUND: Final = (
    b'{"metadata":{"event_name":"course_grade_change","event_time":"2025-11-22T10:15:30.123Z",'
    b'"root_account_uuid":"hostile"},"body":{"user_id":"2","course_id":"1","current_score":80}}'
)

VALUES: Final[tuple[bytes | None, ...]] = (
    None,
    b"",
    b" ",
    b"{",
    b"\xff\xfe{}",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf" + _SOUND,
    b"null",
    b"[]",
    b'"text"',
    b"1e400",
    b"NaN",
    b"{}",
    b'{"metadata":{},"body":{}}',
    b'{"metadata":null}',
    b'{"metadata":[],"attributes":{}}',
    b"[" * 50_000,
    b"[" * 50_000 + b"]" * 50_000,
    b'{"metadata":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"metadata":{"event_name":"grade_change","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    _SOUND.replace(b":80", b":" + b"9" * 400),
    _SOUND.replace(b":80", b":-1e99999"),
    _SOUND.replace(b":80", b":NaN"),
    _SOUND.replace(b":80", b':"eighty"'),
    _SOUND.replace(b":80", b":true"),
    _SOUND.replace(b'"2"', b'"' + b"2" * 10_000 + b'"'),
    _SOUND.replace(b'"2"', b"2e18"),
    _SOUND.replace(b'"user_id":"2"', b'"user_id":"2","user_id":"two"'),
    _SOUND.replace(b'"hostile"', b'"a\\u0000b"'),
    _SOUND.replace(b'"hostile"', b'"\\ud800"'),
    _SOUND.replace(b"2025-11-22", b"9999-12-31"),
    _SOUND.replace(b"2025-11-22", b"0000-00-00"),
    _SOUND.replace(b"2025-11-22T10:15:30.123Z", b"1e9"),
    _SOUND[:-1],
    _SOUND + b"}",
    _SOUND + _SOUND,
)

KEYS: Final = (None, b"", b"key", b"\xff\x00", b"hostile:2", b"k" * 2_000)
HEADERS: Final[tuple[list[tuple[str, bytes | None]], ...]] = (
    [],
    [("empty", b""), ("null", None), ("", b"")],
    [("twice", b"1"), ("twice", b"2"), ("twice", b"1")],
    [("bytes", bytes(range(256))), ("größe", "größe".encode())],
    [
        ("gradewatch.reason", b"of another"),
        ("__streams.errors.offset", b"17"),
        ("gradewatch.truncated", b"1"),
    ],
    [(f"h{number}", b"v") for number in range(200)],
)


def hostile(seed: int, count: int) -> Iterator[Raw]:
    """Yield so many hostile messages; whether each is one its reader says."""
    chance = random.Random(seed)
    kinds = list(itertools.product(VALUES, KEYS, HEADERS))
    chance.shuffle(kinds)
    for number in range(count):
        value, key, headers = kinds[number % len(kinds)]
        if not number % LARGE_EVERY:
            value = LARGE
        yield Raw(value, chance.randrange(RAW_PARTITIONS), key, headers)


def _digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    return hashlib.blake2b(repr((key, value, list(headers))).encode(), digest_size=12).digest()


async def flood(stage: Stage) -> Outcome:
    """Write hostile messages among as many sound ones, and look for each of them."""
    rounds, size = (2, 2_500) if stage.quick else (50, ROUND)
    outcome = Outcome()
    expected: Counter[str] = Counter()
    letters: Counter[bytes] = Counter()
    records: Counter[bytes] = Counter()
    reasons: Counter[str] = Counter()
    work = Work({}, {})
    sizes_mib: list[float] = []
    async with stage.deployment() as deployment:
        # Each round has students of its own; how many are kept in memory is not what this is about.
        worker = await deployment.worker("one", table_cache_keys="1000").until_ready()
        for number in range(rounds):
            stage.say(f"round {number + 1} of {rounds}")
            sound = list(by_student(semester(600 + number, size, poison=0.0), number))
            messages = _mixed(sound, list(hostile(number, size)), number)
            for message in messages:
                match read(message.value, None):
                    case Rejected() as rejected:
                        expected["rejected"] += 1
                        reasons[rejected.reason] += 1
                        letters[_digest(message.key, message.value, message.headers)] += 1
                    case Ignored():
                        expected["ignored"] += 1
                    case record if record.event_time.startswith("9999"):
                        expected["rejected"] += 1
                        reasons[Reason.FUTURE_EVENT] += 1
                        letters[_digest(message.key, message.value, message.headers)] += 1
                    case record:
                        expected["record"] += 1
                        records[_digest(record.key, encode_record(record), ())] += 1
                        work.take(record)
            await deployment.produce(messages)
            await deployment.until_done(300)
            sizes_mib.append(resident_mib(worker))
        assert await worker.outcomes() == +expected
        await finish(deployment, worker)
        seen = await _dead_letters(deployment)
        _hold(outcome, "dead letters", seen, letters)
        assert set(reasons) == set(Reason), f"no message was {set(Reason) - set(reasons)}"
        grown_mib = max(sizes_mib) - sizes_mib[len(sizes_mib) // 4]
        assert grown_mib < GROWTH_MIB, f"the worker grew by {grown_mib:.0f} MiB"
        if stage.quick:
            outcome.compare(await Topics.read(deployment), repeats_allowed=False, students_in_order=True)
        else:
            _hold(outcome, "records", await _records(deployment), records)
            await _compare(deployment, work, outcome)
    outcome.notes.append(
        f"{expected['rejected']:,} hostile among {expected['record'] + expected['ignored']:,}, with all "
        f"{len(reasons)} reasons; memory {sizes_mib[0]:.0f} MiB at first, {max(sizes_mib):.0f} MiB at most"
    )
    return outcome


def _mixed(sound: list[Raw], bad: list[Raw], seed: int) -> list[Raw]:
    """Put two lists together at random, each in its own order."""
    chance = random.Random(seed)
    turns = [True] * len(sound) + [False] * len(bad)
    chance.shuffle(turns)
    sources = {True: iter(sound), False: iter(bad)}
    return [next(sources[turn]) for turn in turns]


async def _dead_letters(deployment: Deployment) -> Counter[bytes]:
    """Count the dead letters as they came, without holding them all."""
    seen: Counter[bytes] = Counter()
    async for message in _stream(deployment, deployment.topology.dead_letters):
        seen[_digest(message.key, message.value, original_headers(message.headers))] += 1
    return seen


async def _records(deployment: Deployment) -> Counter[bytes]:
    """Count the records by key and value, without holding them all."""
    seen: Counter[bytes] = Counter()
    async for message in _stream(deployment, deployment.topology.records):
        seen[_digest(message.key, message.value, ())] += 1
    return seen


async def _alerts(deployment: Deployment) -> Counter[str]:
    """Count the alerts by their ids, for students and for staff, without holding them all."""
    seen: Counter[str] = Counter()
    for topic in (deployment.topology.alerts, deployment.topology.staff_alerts):
        async for message in _stream(deployment, topic):
            seen[orjson.loads(message.value)["alert_id"]] += 1
    return seen


async def _stream(deployment: Deployment, topic: TopicSpec) -> AsyncIterator[ConsumerRecord]:
    ends = await deployment.ends(topic)
    async with AIOKafkaConsumer(
        bootstrap_servers=deployment.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                for message in fetched:
                    yield message


def _hold(outcome: Outcome, part: str, actual: Counter[Any], must: Counter[Any]) -> None:
    outcome.compared.add(part)
    missing, surplus = (must - actual).total(), (actual - must).total()
    if missing or surplus:
        outcome.differences[part] = f"of {must.total()}, {missing} are missing or changed, {surplus} too many"


async def _compare(deployment: Deployment, work: Work, outcome: Outcome) -> None:
    """Compare the ids of alerts, and what is compacted, with what comes of the sound events."""
    topology = deployment.topology
    states = {key: encode_state(state) for key, state in work.states.items()}
    found: dict[str, tuple[Any, Any]] = {
        "tables": (newest(await consume(deployment.bootstrap, topology.scores_changelog.name)), states),
        "snapshots": (
            newest(await consume(deployment.bootstrap, topology.snapshots.name)),
            work.snapshots(),
        ),
    }
    for part, (actual, must) in found.items():
        outcome.compared.add(part)
        if actual != must:
            outcome.differences[part] = f"{len(must)} were expected, {len(actual)} found, or some differ"
    _hold(outcome, "alerts", await _alerts(deployment), Counter(work.alert_ids))


SCENARIOS: Final = (Scenario(6, "Hostile messages among as many sound ones", flood),)
