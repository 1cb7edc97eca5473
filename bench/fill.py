"""The raw topics: a seeded school's course grades and, on the firehose, everything else it sends.

Values are as Canvas sends them, written through the types of `models.canvas`: a course_grade_change with the
metadata of a web request (1.4 KB) and, for the other nine in ten, the events of the synthetic semester. There
are no keys. All events of a student lie on one partition in the order in which they happened, which no
contender may rely on, so that the alerts of all are the same set.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer

from app.semester.courses import plan_courses
from app.semester.envelope import Envelope, Fields, Writer, second_text
from app.semester.options import DAY_MS, WEEK_MS, Options, chance
from app.semester.people import global_id
from app.semester.semester import Semester
from bench.cluster import Cluster, raw_producer
from bench.contenders.job import Grade, Scores, judge, time_text

SEED: Final = 2026
TERM_WEEKS: Final = 16
EVENTS_PER_STUDENT_COURSE: Final = 30
COURSES_PER_STUDENT: Final = 4
_FIRST_USER_ID: Final = 100_001
_FIRST_COURSE_ID: Final = 2_001
UNKNOWN_SHARE: Final = 0.01
DELETED_SHARE: Final = 0.001
_OTHER_EVENTS: Final = 20_000
_BATCHES_UNDER_WAY: Final = 64

#: student, course, status, event time: what the alerts of contenders are compared by.
AlertKey = tuple[str, str, str, str]

Placing = Callable[[Grade | None], int]
"""Tells the partition of an event; None: it is about no student."""


class RawEvent(NamedTuple):
    """A value for the raw topic, and the grade in it as the peers read it."""

    value: bytes
    grade: Grade | None = None


@dataclass
class Filled:
    """A raw topic and what is known about it."""

    topic: str
    partitions: int
    events: int = 0
    grade_events: int = 0
    bytes: int = 0
    alerts: set[AlertKey] = field(default_factory=set)


class School:
    """Students, their courses and scores, and the events about them, one by one in the order of time."""

    def __init__(self, student_courses: int, *, courses_per_student: int = COURSES_PER_STUDENT) -> None:
        self._rng = chance(SEED, "bench")
        # A day ago: nothing comes from the future.
        self._until_ms = int(time.time() * 1000) - DAY_MS
        semester = Semester(Options(seed=SEED, students=10, courses=8))
        self.root_account_uuid = semester.school.root_account_uuid
        self._course = plan_courses(semester.options, semester.size, semester.school)[0]
        self._teachers = semester.school.teachers
        self._envelope = Envelope(semester.school, self._rng, 900_000_000)
        self._writer = Writer()
        self._scores: list[float | None] = [None] * student_courses
        self._courses_per_student = courses_per_student
        self._courses = max(8, student_courses // 60)

    def events(self, count: int) -> Iterator[RawEvent]:
        """Yield `count` changes of course scores over a term; each student and course comes once at first."""
        rng, pairs = self._rng, len(self._scores)
        since_ms = self._until_ms - TERM_WEEKS * WEEK_MS
        step_ms = TERM_WEEKS * WEEK_MS / count if count else 0.0
        for number in range(count):
            pair = number if number < pairs else int(rng.random() * pairs)
            chance_of = rng.random()
            score = None if chance_of < UNKNOWN_SHARE else _next_score(self._scores[pair], rng)
            deleted = chance_of > 1.0 - DELETED_SHARE
            yield self.event(pair, since_ms + int(number * step_ms), score, deleted=deleted)

    def event(self, pair: int, at: int, score: float | None, *, deleted: bool = False) -> RawEvent:
        """Return the event about a new score of one student in one course."""
        old, self._scores[pair] = self._scores[pair], score
        student = pair // self._courses_per_student
        user_id = str(_FIRST_USER_ID + student)
        course = _FIRST_COURSE_ID + (pair * 7 + student) % self._courses
        body: Fields = {
            "user_id": user_id,
            "course_id": str(course),
            "workflow_state": "deleted" if deleted else "active",
            "created_at": second_text(at - DAY_MS),
            "updated_at": second_text(at),
            **_scores("", score),
            **_scores("old_", old),
        }
        page = f"/courses/{course}/gradebook"
        metadata = self._envelope.request(
            "course_grade_change",
            at,
            self._course,
            self._teachers[pair % len(self._teachers)],
            "POST",
            f"{page}/update_submission",
            page,
        )
        metadata["context_id"] = global_id(course)
        value = self._writer.write("course_grade_change", metadata, body)
        return RawEvent(value, Grade(self.root_account_uuid, user_id, str(course), at, score, deleted))


def _scores(prefix: str, current: float | None) -> Fields:
    """Return the four scores that follow from one; Canvas leaves out what is unknown."""
    if current is None:
        return {}
    return {
        f"{prefix}current_score": current,
        f"{prefix}final_score": round(current * 0.9, 2),
        f"{prefix}unposted_current_score": round(current - 0.5, 2),
        f"{prefix}unposted_final_score": round(current * 0.9 - 0.5, 2),
    }


def _next_score(old: float | None, rng: Random) -> float:
    """Let a score wander about where it was, fall now and then, and come back up."""
    if old is None:
        return round(rng.uniform(75.0, 98.0), 2)
    chance_of = rng.random()
    if chance_of < 0.02:
        moved = old - rng.uniform(8.0, 30.0)
    elif old < 70.0 and chance_of < 0.3:
        moved = rng.uniform(80.0, 92.0)
    else:
        moved = old + rng.gauss(0.2, 1.5)
    return round(min(104.0, max(5.0, moved)), 2)


def grade_events(
    count: int, student_courses: int | None = None, *, courses_per_student: int = COURSES_PER_STUDENT
) -> Iterator[RawEvent]:
    """Yield course grades only."""
    pairs = student_courses or -(-count // EVENTS_PER_STUDENT_COURSE)
    yield from School(pairs, courses_per_student=courses_per_student).events(count)


def firehose(count: int) -> Iterator[RawEvent]:
    """Yield one course grade among ten events; the others are the semester's own, over and over."""
    options = Options(seed=SEED, events=_OTHER_EVENTS, other_share=0.9)
    others = cycle([e.value for e in Semester(options).events() if e.kind == "other" and e.value])
    grades = grade_events(-(-count // 10))
    for number in range(count):
        yield RawEvent(next(others)) if number % 10 else next(grades)


def by_student(partitions: int) -> Placing:
    """Place each student's events on one partition, all others evenly."""
    turns = cycle(range(partitions))

    def place(grade: Grade | None) -> int:
        return next(turns) if grade is None else zlib.crc32(grade.user_id.encode()) % partitions

    return place


def scattered(partitions: int) -> Placing:
    """Place events as bridges do, on any partition."""
    rng = chance(SEED, "scattered")
    return lambda _: int(rng.random() * partitions)


async def fill(
    cluster: Cluster,
    topic: str,
    partitions: int,
    events: Iterable[RawEvent],
    *,
    placing: Placing | None = None,
    backlog_seconds: float | None = None,
    backlog_events: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Filled:
    """Create a topic and write events to it, in batches as a bridge sends them.

    Kafka's timestamps are the time of writing. With `backlog_seconds` they are those of `backlog_events`
    that came in evenly over so long a time, up to now. `progress` is told how many there are so far.
    """
    await cluster.create(topic, partitions, **{"retention.ms": "-1"})
    place = placing or by_student(partitions)
    filled = Filled(topic, partitions)
    kept: dict[tuple[str, str], Scores] = {}
    begins = time.time() - (backlog_seconds or 0.0)
    async with raw_producer(cluster.bootstrap) as producer:
        batches = Batches(producer, topic, partitions)
        for number, event in enumerate(events):
            seconds = (
                time.time() if not backlog_seconds else begins + backlog_seconds * number / backlog_events
            )
            await batches.add(place(event.grade), event.value, int(seconds * 1000))
            filled.events += 1
            filled.bytes += len(event.value)
            grade = event.grade
            if grade is not None:
                filled.grade_events += 1
                scores = kept.setdefault((grade.user_id, grade.course_id), Scores())
                finding = judge(scores, grade.at, grade.score, grade.deleted)
                if finding is not None:
                    filled.alerts.add((grade.student, grade.course_id, finding.status, time_text(grade.at)))
            if number % 1_000 == 999:
                progress(number + 1)
        await batches.flush()
    return filled


class Batches:
    """Fills a batch per partition and sends each when it is full, with a bounded number under way."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._open = [producer.create_batch() for _ in range(partitions)]
        self._under_way: set[asyncio.Future[object]] = set()

    async def add(self, partition: int, value: bytes, timestamp: int) -> None:
        """Add a message without a key; the time is in milliseconds."""
        if self._open[partition].append(key=None, value=value, timestamp=timestamp) is None:
            await self._send(partition)
            self._open[partition].append(key=None, value=value, timestamp=timestamp)

    async def flush(self) -> None:
        """Send what is left and return when all is acknowledged."""
        for partition in range(len(self._open)):
            await self._send(partition)
        await asyncio.gather(*self._under_way)

    async def _send(self, partition: int) -> None:
        batch = self._open[partition]
        self._open[partition] = self._producer.create_batch()
        if not batch.record_count():
            return
        self._under_way.add(await self._producer.send_batch(batch, self._topic, partition=partition))
        if len(self._under_way) >= _BATCHES_UNDER_WAY:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            for delivery in done:
                delivery.result()
