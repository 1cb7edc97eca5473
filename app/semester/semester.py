"""A whole semester: the school, its courses and everything they send, in the order in which it arrives."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice

from app.semester.agenda import Agenda
from app.semester.classroom import Classroom
from app.semester.courses import plan_courses
from app.semester.delivery import deliver
from app.semester.envelope import Envelope, RawEvent, Writer
from app.semester.events import GradeEvents
from app.semester.life import CourseLife
from app.semester.options import Options, chance, size_of
from app.semester.others import OtherEvents
from app.semester.people import found_school
from app.semester.poison import Poisoner


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one student in one course: they decline from that day on (UTC).

    Who has no label does not decline, however bad a week may look.
    """

    root_account_uuid: str
    user_id: str
    """In canonical form, as in grade records: local, but for a visitor from another shard."""
    course_id: str
    decline_from: date


class Semester:
    """A simulated semester; the same options give the same events, byte for byte, as often as they are asked.

    The events about grades are the same whatever share of others, repeats and poison goes with them. Memory
    follows the size of the school and how far ahead it plans, not the number of events.

    >>> semester = Semester(Options(seed=7, events=1000))
    >>> values = [event.value for event in semester.events()]
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.size = size_of(self.options)
        self.school = found_school(self.options, self.size.students, self.size.courses)

    def events(self) -> Iterator[RawEvent]:
        """Yield the semester's events from its start, as they arrive; `options.events` of them at most."""
        arriving = deliver(
            self._in_order(), self.options, Poisoner(self.school, chance(self.options.seed, "poison"))
        )
        return islice(arriving, self.options.events)

    def labels(self, before_ms: int | None = None) -> Iterator[Label]:
        """Yield who truly declines where and from when on.

        With `before_ms`, a time in epoch milliseconds, only declines that begin before it: a stream that was
        cut there cannot show the others.
        """
        for course in plan_courses(self.options, self.size, self.school):
            for enrollment in course.enrollments:
                decline = enrollment.student.decline
                if decline is None or not enrollment.declines:
                    continue
                if before_ms is None or decline.from_ms < before_ms:
                    yield Label(
                        self.school.root_account_uuid,
                        enrollment.student.person.user_id,
                        str(course.local_id),
                        datetime.fromtimestamp(decline.from_ms / 1000, UTC).date(),
                    )

    def _in_order(self) -> Iterator[RawEvent]:
        """Let the semester happen; yield each event as Canvas emits it."""
        options, seed = self.options, self.options.seed
        agenda = Agenda(options.since_ms)
        writer = Writer()
        happened: list[RawEvent] = []
        courses = plan_courses(options, self.size, self.school)
        others = OtherEvents(
            options,
            self.school,
            courses,
            agenda,
            Envelope(self.school, chance(seed, "other requests"), 800_000_000),
            writer,
            happened.append,
            chance(seed, "other events"),
        )

        def emit_grade_event(event: RawEvent) -> None:
            happened.append(event)
            others.owe()

        envelope = Envelope(self.school, chance(seed, "requests"), 700_000_000)
        for course in courses:
            events = GradeEvents(course, options.since_ms, envelope, writer, emit_grade_event)
            rng = chance(seed, "life", course.local_id)
            CourseLife(Classroom(options, course, agenda, envelope, events, rng)).begin()
        others.begin()
        for _ in agenda.run(options.until_ms):
            if happened:
                yield from happened
                happened.clear()
