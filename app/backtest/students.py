"""Every student's state, compact: those seen lately as objects, all others as bytes."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tables.cases import Holds
from tables.scores import EMPTY, StudentScores

AWAKE: Final = 6_000
"""Students seen lately, of whom up to twice as many are objects: of a whole semester some 50 kB each, six
times what their bytes take. To wake those of a school that is a little larger takes a sixth of the time."""


class Student(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that a replay keeps of a student."""

    holds: tuple[Holds, ...]
    """What the rules hold, for each of the replay's sets of rules."""
    scores: StudentScores = EMPTY
    deepest: Mapping[str, float] = {}
    """By course how far the posted score ever fell below its recent peak, in percent points."""


class Students:
    """The states of all students, by their key.

    `awake[key]` or, where it isn't there, `wake(key)` gives a state; `awake[key] = state` is where a new one
    goes, and one that was woken too. After `rest` look `awake` up again.
    """

    def __init__(self, newcomer: Student, awake: int = AWAKE) -> None:
        self._newcomer = newcomer
        self._most_awake = awake
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Student).decode
        self.awake: dict[bytes, Student] = {}
        self._drowsy: dict[bytes, Student] = {}
        """Not seen since the last rest."""
        self._asleep: dict[bytes, bytes] = {}

    def wake(self, key: bytes) -> Student:
        """Return the state of a student who isn't awake, and forget it; a new one of somebody unknown."""
        student = self._drowsy.pop(key, None)
        if student is not None:
            return student
        kept = self._asleep.pop(key, None)
        return self._newcomer if kept is None else self._decode(kept)

    def rest(self) -> None:
        """Make bytes of those who were not seen for long, if too many are awake."""
        if len(self.awake) > self._most_awake:
            self._asleep.update((key, self._encode(student)) for key, student in self._drowsy.items())
            self._drowsy, self.awake = self.awake, {}

    def __len__(self) -> int:
        """Return how many students there are."""
        return len(self.awake) + len(self._drowsy) + len(self._asleep)

    def items(self) -> Iterator[tuple[bytes, Student]]:
        """Yield every student with their key."""
        yield from self.awake.items()
        yield from self._drowsy.items()
        for key, kept in self._asleep.items():
            yield key, self._decode(kept)
