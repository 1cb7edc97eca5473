"""Who is at the school: its accounts, teachers and students, and how each student is really doing."""

import string
from dataclasses import dataclass
from random import Random
from typing import Final

from app.semester.options import DAY_MS, WEEK_MS, Options, chance

SHARD: Final = 2107
HOME_SHARD_OF_VISITORS: Final = 1093
_SHARD_SIZE: Final = 10**13

DECLINING_SHARE: Final = 0.08
"""Share of the students who truly decline at some time of the semester."""
VISITOR_SHARE: Final = 0.01
"""Share of the students whose account lives on another shard: their id is global in every event."""

_USER_AGENTS: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/128.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/127.0.0.0 Safari/537.36 Edg/127.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:129.0) Gecko/20100101 Firefox/129.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1",
)
_NETWORKS: Final = ("192.0.2.", "198.51.100.", "203.0.113.")  # RFC 5737: for documentation, belong to nobody


def global_id(local: int, shard: int = SHARD) -> str:
    """Give the id that is unique across shards, as Canvas documents it: shard * 10^13 + local id."""
    return str(shard * _SHARD_SIZE + local)


@dataclass(frozen=True, slots=True)
class Person:
    """A user of Canvas with what their requests carry."""

    user_id: str
    """As course events carry it: local, or global for a visitor from another shard."""
    global_id: str
    login: str
    sis_id: str | None
    role: str
    user_agent: str
    client_ip: str
    session: str
    """The constant part of the session id: 28 hex digits; four more follow from the day."""


@dataclass(frozen=True, slots=True)
class Decline:
    """A true decline, hidden from whoever reads the events: from when on, and how far in the end."""

    from_ms: int
    depth: float
    """By how much the expected score falls, as a share of the possible points."""
    ramp_ms: int
    """How long it takes to fall so far."""
    everywhere: bool
    """In all of the student's courses, or in about half of them."""

    def at(self, time_ms: int) -> float:
        """Give how much of the expected score is lost at a time."""
        return self.depth * min(1.0, max(0.0, (time_ms - self.from_ms) / self.ramp_ms))


@dataclass(frozen=True, slots=True)
class Student:
    """A student and the hidden variables that their scores are drawn from, as shares of possible points."""

    person: Person
    key: bytes
    """The message key of everything about this student."""
    ability: float
    spread: float
    drift: float
    """How much the expected score changes over the whole semester without being a decline."""
    missing: float
    """Probability that a piece of work is not handed in."""
    decline: Decline | None


@dataclass(frozen=True, slots=True)
class School:
    """The root account, its departments' accounts and its people."""

    root_account_uuid: str
    root_account_id: str
    hostname: str
    account_ids: tuple[str, ...]
    teachers: tuple[Person, ...]
    students: tuple[Student, ...]


def found_school(options: Options, students: int, courses: int) -> School:
    """Invent a school of a size; another seed is another school, with another root account uuid."""
    rng = chance(options.seed, "school")
    uuid = "".join(rng.choices(string.ascii_letters + string.digits, k=40))
    return School(
        root_account_uuid=uuid,
        root_account_id=global_id(1),
        hostname="canvas.example.edu",
        account_ids=tuple(global_id(2 + n) for n in range(1 + courses // 8)),
        teachers=tuple(
            _person(rng, 11 + n, "TeacherEnrollment", f"t{1001 + n}") for n in range(1 + courses * 2 // 3)
        ),
        students=tuple(_student(options, uuid, n) for n in range(students)),
    )


def _student(options: Options, root_account_uuid: str, number: int) -> Student:
    rng = chance(options.seed, "student", number)
    visitor = rng.random() < VISITOR_SHARE
    shard = HOME_SHARD_OF_VISITORS if visitor else SHARD
    person = _person(rng, 100_001 + number, "StudentEnrollment", f"s{104_233 + number}", shard)
    return Student(
        person=person,
        key=f"{root_account_uuid}:{person.user_id}".encode(),
        ability=min(0.97, max(0.62, rng.gauss(0.85, 0.06))),
        spread=rng.uniform(0.03, 0.07),
        drift=rng.gauss(0.0, 0.015),
        missing=0.03 if rng.random() < 0.15 else 0.002,
        decline=_decline(options, rng) if rng.random() < DECLINING_SHARE else None,
    )


def _decline(options: Options, rng: Random) -> Decline:
    length_ms = options.until_ms - options.since_ms
    start_ms = options.since_ms + int(length_ms * rng.uniform(0.25, 0.7))
    return Decline(
        from_ms=start_ms - start_ms % DAY_MS,
        depth=rng.uniform(0.25, 0.5),
        ramp_ms=int(min(3 * WEEK_MS, 0.2 * length_ms) * rng.uniform(0.3, 1.0)),
        everywhere=rng.random() < 0.6,
    )


def _person(rng: Random, local: int, role: str, login: str, shard: int = SHARD) -> Person:
    return Person(
        user_id=str(local) if shard == SHARD else global_id(local, shard),
        global_id=global_id(local, shard),
        login=f"{login}@example.edu",
        sis_id=None if rng.random() < 0.1 else f"SIS-{login.upper()}",
        role=role,
        user_agent=rng.choice(_USER_AGENTS),
        client_ip=f"{rng.choice(_NETWORKS)}{rng.randint(1, 254)}",
        session=rng.randbytes(14).hex(),
    )
