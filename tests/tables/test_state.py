"""The stored form of what is kept of a student."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.cases import Holds
from tables.scores import EMPTY, fold
from tables.state import NO_STATE, VERSION, StudentState, decode_state, encode_state
from tests.tables.histories import graded, marked, overridden, scored

HOLDS = Holds({"1": {"threshold_crossed": ("70", "60")}}, {"courses_at_risk": ("on",)})


def some_state() -> StudentState:
    scores = EMPTY
    for record in (scored(0, 50.0), graded(1, "5", 9.0), overridden(2, 60.0), marked(3, "Späte Abgabe")):
        scores = fold(scores, record)
    return StudentState(scores, HOLDS)


def test_a_state_survives_its_encoding() -> None:
    assert decode_state(encode_state(some_state())) == some_state()
    assert decode_state(encode_state(NO_STATE)) == NO_STATE


def test_the_first_byte_is_the_version() -> None:
    assert encode_state(NO_STATE)[0] == VERSION == 1


def test_equal_states_give_equal_bytes_in_whatever_order_they_came_about() -> None:
    one = StudentState(EMPTY, Holds({"1": {"a": ("on",), "b": ("on",)}, "2": {}}))
    other = StudentState(EMPTY, Holds({"2": {}, "1": {"b": ("on",), "a": ("on",)}}))
    assert encode_state(one) == encode_state(other)


def test_a_state_of_a_newer_release_is_refused() -> None:
    with pytest.raises(ValueError, match="has format 2, but this release reads formats up to 1: a newer"):
        decode_state(bytes([VERSION + 1]) + encode_state(some_state())[1:])


def test_the_stored_form_is_the_structure_of_the_fields_that_make_states_equal() -> None:
    state = some_state()
    plain = [[state.scores.newest_ms, state.scores.courses], state.holds]
    assert encode_state(state)[1:] == msgspec.msgpack.encode(plain, order="deterministic")
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


@pytest.mark.parametrize(
    "value",
    [b"", b"\x00", b"\x01", b"\x01\x93", b"\x01\xa6secret", encode_state(some_state())[:-1]],
    ids=["nothing", "an older format", "only a version", "cut", "a text", "cut at the end"],
)
def test_what_is_no_state_is_refused_without_its_values(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a student's state$") as refusal:
        decode_state(value)
    assert refusal.value.__cause__ is refusal.value.__context__ is None


def read_or_refuse(value: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(decode_state(value), StudentState)


@given(st.binary(max_size=40).map(lambda tail: bytes([VERSION]) + tail))
def test_garbage_is_refused_or_read_but_nothing_else(value: bytes) -> None:
    read_or_refuse(value)


@given(st.integers(1, 400), st.integers(0, 255))
def test_a_broken_byte_is_refused_or_read_but_nothing_else(place: int, byte: int) -> None:
    value = bytearray(encode_state(some_state()))
    value[place % (len(value) - 1) + 1] = byte
    read_or_refuse(bytes(value))
