"""The events that are about no grade: nine in ten of what a school sends."""

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Final

from app.semester.agenda import Agenda
from app.semester.courses import LOCAL_MIDNIGHT_MS, Course
from app.semester.envelope import Envelope, RawEvent, Writer
from app.semester.options import DAY_MS, Options
from app.semester.people import School
from app.semester.shapes import Shape, one_of, read_shapes

_PAGES: Final = ("assignments", "modules", "quizzes", "grades", "files", "discussion_topics")

_HOURLY: Final = (6, 3, 1, 1, 1, 2, 4, 8, 14, 18, 20, 20, 18, 20, 20, 19, 18, 17, 18, 22, 26, 28, 24, 14)
"""How busy each hour of the school's day is."""
_SLOT_MS: Final = 900_000
_PAID_AT_PEAK: Final = 0.1
_LAST_CALL_MS: Final = DAY_MS // 2
_BURST: Final = (30, 200)


class OtherEvents:
    """Sends the other events by the rhythm of the school's day, so many that their share comes out right.

    Every event about a grade owes its share of others; what is owed is paid over the hours that follow, in
    single events and, now and then, in a burst of one kind, as an import or a course copy sends it.
    """

    def __init__(
        self,
        options: Options,
        school: School,
        courses: Sequence[Course],
        agenda: Agenda,
        envelope: Envelope,
        writer: Writer,
        emit: Callable[[RawEvent], None],
        rng: Random,
    ) -> None:
        self._per_grade_event = options.other_share / (1.0 - options.other_share)
        self._until_ms = options.until_ms
        self._courses = courses
        self._teachers = school.teachers
        self._students = school.students
        self._agenda = agenda
        self._envelope = envelope
        self._writer = writer
        self._emit = emit
        self._rng = rng
        self._owed = 0.0
        self._shapes = read_shapes()
        self._weights = list(accumulate(shape.weight for shape in self._shapes))
        self._bulk = [shape for shape in self._shapes if shape.origin == "job"]

    def begin(self) -> None:
        """Start paying."""
        if self._per_grade_event:
            self._agenda.at(self._agenda.now_ms, self._pay)

    def owe(self) -> None:
        """Take note of one event about a grade."""
        self._owed += self._per_grade_event

    def _pay(self) -> None:
        """Plan a quarter of an hour's events; in the last hours whatever is still owed."""
        now_ms, rng = self._agenda.now_ms, self._rng
        left_ms = self._until_ms - now_ms
        if left_ms <= _LAST_CALL_MS:
            part = 1.0 if left_ms <= 2 * _SLOT_MS else 2 * _SLOT_MS / left_ms
        else:
            hour = (now_ms - LOCAL_MIDNIGHT_MS) % DAY_MS * 24 // DAY_MS
            part = _PAID_AT_PEAK * _HOURLY[hour] / max(_HOURLY)
        due = int(self._owed * part + rng.random())
        self._owed -= due
        slot_ms = min(_SLOT_MS, left_ms)
        if due >= _BURST[0] and rng.random() < 0.1:
            size = min(due, rng.randint(*_BURST))
            shape, start_ms = rng.choice(self._bulk), now_ms + rng.random() * slot_ms / 2
            for nth in range(size):
                self._agenda.at(start_ms + 3 * nth, self._send, shape)
            due -= size
        for _ in range(due):
            chosen = bisect(self._weights, rng.random() * self._weights[-1])
            self._agenda.at(now_ms + rng.random() * slot_ms, self._send, self._shapes[chosen])
        self._agenda.at(now_ms + _SLOT_MS, self._pay)

    def _send(self, shape: Shape) -> None:
        rng, time_ms, name = self._rng, self._agenda.now_ms, shape.name
        course = self._courses[int(len(self._courses) * rng.random())]
        key: bytes | None = None
        if shape.origin == "student":
            student = self._students[int(len(self._students) * rng.random())]
            person, key = student.person, student.key
        else:
            person = self._teachers[int(len(self._teachers) * rng.random())]
        if shape.origin == "job":
            job_id = self._envelope.new_job_id()
            metadata = self._envelope.job(name, time_ms, course, job_id, "Delayed::PeriodicJob")
        else:
            page = f"/courses/{course.local_id}/{one_of(_PAGES, rng)}"
            metadata = self._envelope.request(name, time_ms, course, person, "GET", page, page)
        body = shape.body(rng, time_ms, person)
        self._emit(RawEvent(self._writer.write(name, metadata, body), time_ms, key, "other", name))
