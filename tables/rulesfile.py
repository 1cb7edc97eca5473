"""Read a rules file: its text becomes a rulebook, or every mistake in it with its line.

The file is TOML. A rule's table at the top sets its parameters for all; below `[accounts."UUID".RULE]` for a
root account, and below `[accounts."UUID".courses."ID".RULE]` for one course. What a table does not set it
inherits from the one above, and in the end from the defaults.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from pydantic import TypeAdapter, ValidationError

from models.fields import Id, RootAccountUuid
from tables.parameters import PARAMETERS, Contradiction, Parameters, Rules, right_value
from tables.rulebook import AccountRules, Rulebook

Place: TypeAlias = tuple[str, ...]
"""The keys that lead to a table or a value."""

Written: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Parameters as they are written, by rule."""

_ACCOUNTS, _COURSES = "accounts", "courses"


class Mistake(NamedTuple):
    """Something that is wrong in a rules file."""

    line: int
    field: str
    """Where, as one would write it in TOML; empty when the file can't be read as TOML."""
    sentence: str
    """What is wrong and, where it can be told, what was meant."""

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.line), self.field, self.sentence)))


class RulesFileError(ValueError):
    """A rules file that can't be used."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def read_rules(text: str) -> Rulebook:
    """Return the rulebook that a rules file describes; RulesFileError with all that is wrong in it."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only its own error, for numbers beyond all measure
        raise RulesFileError([_no_toml(error, text)]) from None
    reader = _Reader(line_numbers(text))
    book = reader.book(document)
    if reader.mistakes:
        raise RulesFileError(sorted(reader.mistakes))
    return book


def line_numbers(text: str) -> dict[Place, int]:
    """Return the line on which each table and value of a TOML document is first written.

    `tomllib` tells no lines. But every statement of TOML begins on a line of its own, so the fewest lines
    that `tomllib` takes for a document are one statement.
    """
    lines: dict[Place, int] = {}
    table: Place = ()
    statement: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        statement.append(line)
        try:
            parsed = tomllib.loads("\n".join(statement))
        except tomllib.TOMLDecodeError:
            continue  # goes on in the next line
        places = list(_places(parsed))
        is_header = statement[0].lstrip().startswith("[")
        for place in places:
            lines.setdefault(place if is_header else table + place, number - len(statement) + 1)
        if is_header:
            table = max(places, key=len)
        statement = []
    return lines


def _places(value: object, at: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from _places(inner, (*at, key))


_bare_key = re.compile(r"[a-z_]+").fullmatch


def dotted(place: Place) -> str:
    """Return keys as one writes them in TOML."""
    return ".".join(key if _bare_key(key) else json.dumps(key, ensure_ascii=False) for key in place)


class _Reader:
    """Goes through a document and notes mistakes; what is wrong counts as not written."""

    def __init__(self, lines: Mapping[Place, int]) -> None:
        self._lines = lines
        self.mistakes: list[Mistake] = []

    def book(self, document: Mapping[str, Any]) -> Rulebook:
        """Return the rulebook; it is worth something only when there were no mistakes."""
        default = self._section((), document, {}, beside=_ACCOUNTS)
        accounts = {}
        for uuid, account in self._tables((_ACCOUNTS,), document, _root_account_uuid):
            at = (_ACCOUNTS, uuid)
            of_account = self._section(at, account, default, beside=_COURSES)
            of_courses = {
                id_: self._section((*at, _COURSES, id_), course, of_account)
                for id_, course in self._tables((*at, _COURSES), account, _course_id)
            }
            accounts[uuid] = AccountRules(
                Rules.model_validate(of_account),
                {id_: Rules.model_validate(written) for id_, written in of_courses.items()},
            )
        return Rulebook(Rules.model_validate(default), accounts)

    def _tables(
        self, at: Place, parent: Mapping[str, Any], key_type: "TypeAdapter[str]"
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the tables of accounts or courses, each with its id."""
        tables = parent.get(at[-1], {})
        if not isinstance(tables, dict):
            self._note(at, f"must be a table of tables, not {_shown(tables)}; {_LAYOUT[at[-1]]}")
            return
        for key, table in tables.items():
            place = (*at, key)
            if key in PARAMETERS or not _is_key(key_type, key):
                self._note(place, f"must be {_KEYS[at[-1]]}, not {_shown(key)}; {_LAYOUT[at[-1]]}")
            if not isinstance(table, dict):
                self._note(place, f"must be a table, not {_shown(table)}; {_LAYOUT[at[-1]]}")
            elif key not in PARAMETERS:
                yield key, table

    def _section(
        self, at: Place, section: Mapping[str, Any], inherited: Written, beside: str = ""
    ) -> Written:
        """Return what applies in a section; `beside` is the one key in it that is no rule."""
        written = dict(inherited)
        for name, table in section.items():
            place = (*at, name)
            if name == beside:
                continue
            if name not in PARAMETERS:
                self._note(place, _no_such_rule(name, beside))
            elif not isinstance(table, dict):
                self._note(place, f"must be a table, not {_shown(table)}; write [{dotted(place)}]")
            elif PARAMETERS[name].ACROSS_COURSES and not beside:
                self._note(
                    place,
                    "looks at all of a student's courses and can't differ from course to course; set it as "
                    f"[{dotted((*at[:2], name))}]",
                )
            else:
                written[name] = self._rule(place, PARAMETERS[name], table, inherited.get(name, {}))
        return written

    def _rule(
        self,
        at: Place,
        parameters: type[Parameters],
        table: Mapping[str, Any],
        inherited: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Return what applies of one rule's parameters."""
        own = {}
        for name, value in table.items():
            place = (*at, name)
            if name not in parameters.model_fields:
                self._note(place, _no_such_parameter(name, at[-1], parameters))
            elif not _is_right(parameters, name, value):
                self._note(place, _wrong(parameters, name, value))
            else:
                own[name] = value
        written = {**inherited, **own}
        contradictions = list(_contradictions(parameters, written))
        for fields, sentence in contradictions:
            place = next((*at, name) for name in fields if name in own)
            self._note(place, sentence)
        return inherited if contradictions else written

    def _note(self, place: Place, sentence: str) -> None:
        line = next(
            self._lines[place[:depth]] for depth in range(len(place), 0, -1) if place[:depth] in self._lines
        )
        self.mistakes.append(Mistake(line, dotted(place), sentence))


_KEYS: Mapping[str, str] = {_ACCOUNTS: "a root account's uuid", _COURSES: "a course's id, 1 to 19 digits"}
_LAYOUT: Mapping[str, str] = {
    _ACCOUNTS: 'write [accounts."UUID".RULE]',
    _COURSES: 'write [accounts."UUID".courses."ID".RULE]',
}
_root_account_uuid: TypeAdapter[str] = TypeAdapter(RootAccountUuid)
_course_id: TypeAdapter[str] = TypeAdapter(Id)


def _is_key(key_type: "TypeAdapter[str]", key: str) -> bool:
    try:
        key_type.validate_python(key)
    except ValidationError:
        return False
    return True


def _is_right(parameters: type[Parameters], name: str, value: object) -> bool:
    """Return whether a parameter may have a value, whatever the others have."""
    try:
        parameters.model_validate({name: value})
    except ValidationError as error:
        return all(problem["loc"][:1] != (name,) for problem in error.errors())
    return True


def _contradictions(parameters: type[Parameters], written: Mapping[str, Any]) -> Sequence[Contradiction]:
    """Return how values that are right alone contradict each other."""
    try:
        parameters.model_validate(written)
    except ValidationError as error:
        (problem,) = error.errors()
        found: Sequence[Contradiction] = problem["ctx"]["found"]
        return found
    return ()


# -- sentences ---------------------------------------------------------------------------------------------


def _no_toml(error: Exception, text: str) -> Mistake:
    match = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)", str(error))
    what, line = match.groups() if match is not None else (str(error), "1")
    return Mistake(int(line or text.rstrip().count("\n") + 1), "", f"not valid TOML: {what}")


def _no_such_rule(name: str, beside: str) -> str:
    sentence = "there is no such rule"
    if close := _closest(name, [*PARAMETERS, beside]):
        return f"{sentence}; did you mean {close}?"
    if name == _COURSES:
        return f"courses belong to an account; {_LAYOUT[_COURSES]}"
    having = [rule for rule, parameters in PARAMETERS.items() if name in parameters.model_fields]
    if having:
        return f"{sentence}, but a parameter of this name; write it below [{'] or ['.join(having)}]"
    return f"{sentence}; there are {', '.join(PARAMETERS)}"


def _no_such_parameter(name: str, rule: str, parameters: type[Parameters]) -> str:
    sentence = f"{rule} has no such parameter"
    if close := _closest(name, parameters.model_fields):
        return f"{sentence}; did you mean {close}?"
    return f"{sentence}; it has {', '.join(parameters.model_fields)}"


def _closest(name: str, known: Iterable[str]) -> str:
    return next(iter(get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.7)), "")


def _wrong(parameters: type[Parameters], name: str, value: object) -> str:
    sentence = f"must be {right_value(parameters, name)}, not {_shown(value)}"
    for meant in _lookalikes(value):
        if _is_right(parameters, name, meant):
            return f"{sentence}; did you mean {_shown(meant)}?"
    return sentence


def _lookalikes(value: object) -> Iterator[object]:
    """Yield what someone may have meant who wrote the value."""
    if isinstance(value, bool):
        return
    if isinstance(value, str):
        text = value.strip().lower()
        yield {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(text)
        if match := re.fullmatch(r"([0-9]{1,4}) *(w|d|h|m)[a-z]*", text):
            count, unit = match.groups()
            yield f"{7 * int(count)}d" if unit == "w" else f"{count}{unit}"
        number = _number(text)
        yield number
        yield [number]
    elif isinstance(value, int | float):
        yield {0.0: False, 1.0: True}.get(value)
        yield -value
        yield _number(value)
        yield [value]
        yield f"{value}d"
    elif isinstance(value, list):
        numbers = [number for number in map(_number, value) if number is not None]
        yield sorted(set(numbers), reverse=True)


def _number(value: object) -> float | None:
    """Return the number that a text or a number stands for, an integer where it is one."""
    if isinstance(value, str):
        value = value.removesuffix("%")
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it can't take it refuses
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else number


def _shown(value: object) -> str:
    """Return a value as it stands in TOML, or nearly so where it is long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, float | date | datetime | time):
        return str(value)
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


_SHOWN_CHARACTERS = 60
