"""The catalogue as TOML text: parsed, checked, and refused with the key that is wrong."""

import json
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from domain.catalogue import Catalogue, System
from domain.errors import ConfigurationError

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
_Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Features = dict[_Name, _Sentence]
_Path = tuple[str, ...]

_FAULTS_SHOWN: Final = 10
"""Most mistakes in one message."""

_DEEPEST: Final = 4
"""Keys in the longest path of a catalogue: systems, a system, features, a feature."""

_LONGEST_KEY: Final = 100
"""Most characters of a strange key in a message."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")
"""The place at the end of tomllib's messages."""


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _EverySystem(_Table):
    features: _Features


class _System(_Table):
    description: _Sentence
    features: _Features = {}


class _File(_Table):
    every_system: _EverySystem = _EverySystem(features={})
    systems: Annotated[dict[_Name, _System], Field(min_length=1)]


_KEYS: Final = {0: list(_File.model_fields), 1: ["features"], 2: list(_System.model_fields)}
"""The keys that a table may have, by its depth."""


def parse_catalogue(text: str, name: str) -> Catalogue:
    """The catalogue written in `text`; `name` is its name in error messages.

    Raises `ConfigurationError` with a line for each mistake: its key, the reason, and what to do.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_not_toml(text, name, error)) from error
    except RecursionError as error:
        raise ConfigurationError(
            f"{name}: brackets are nested too deeply. Compare the file with the bundled catalogue."
        ) from error
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        faults = [(_path(detail), _explain(detail)) for detail in error.errors()]
        raise ConfigurationError(_faults(data, name, faults)) from error
    if contradictions := list(_contradictions(file)):
        raise ConfigurationError(_faults(data, name, contradictions))
    return Catalogue(
        {
            system_name: System(
                system_name, system.description, system.features | file.every_system.features
            )
            for system_name, system in file.systems.items()
        }
    )


def _contradictions(file: _File) -> Iterator[tuple[_Path, str]]:
    for system_name, system in file.systems.items():
        for feature in system.features.keys() & file.every_system.features.keys():
            yield (
                ("systems", system_name, "features", feature),
                f"{feature!r} is listed again. Every system has it already, from "
                "[every_system.features]: remove it here or there.",
            )


def _faults(data: dict[str, Any], name: str, faults: list[tuple[_Path, str]]) -> str:
    """One line of explanation for each of the first faults, in the order of the file."""
    order = {path: number for number, path in enumerate(_paths(data))}
    first = sorted(faults, key=lambda fault: order.get(fault[0], -1))[:_FAULTS_SHOWN]
    return "\n".join(f"{_place(name, path)}: {explanation}" for path, explanation in first)


def _paths(table: Any, path: _Path = ()) -> Iterator[_Path]:
    """The path of every key that may have a fault of its own, in the order of the file."""
    yield path
    if isinstance(table, dict) and len(path) < _DEEPEST:
        for key, value in table.items():
            yield from _paths(value, (*path, key))


def _place(name: str, path: _Path) -> str:
    """The file and the key in it, like `catalogue.toml, systems.library.features.lend_book`."""
    keys = [key if _BARE_KEY.fullmatch(key) else json.dumps(key[:_LONGEST_KEY]) for key in path]
    return ", ".join([name, *([".".join(keys)] if keys else [])])


def _path(detail: ErrorDetails) -> _Path:
    """The path of the key, or for a missing key that of the table it belongs to."""
    path = tuple(str(key) for key in detail["loc"] if key != "[key]")
    return path[:-1] if detail["type"] == "missing" else path


def _explain(detail: ErrorDetails) -> str:
    *table, key = [str(key) for key in detail["loc"] if key != "[key]"]
    where = f"[{'.'.join(table)}]" if table else "the file"
    match detail["type"]:
        case "missing" if key == "systems":
            return _explain_no_systems()
        case "missing":
            return f"{where} has no {key!r}. Add it: {_example(key)}"
        case "too_short":
            return _explain_no_systems()
        case "extra_forbidden":
            return f"{where} cannot have {key!r}.{_allowed(key, len(table))}"
        case "string_pattern_mismatch" | "string_too_long":
            return (
                f"{key!r} is not a name. Use lower-case letters, digits and _, starting with a "
                "letter, up to 64 characters."
            )
        case "string_too_short":
            return f"{key!r} has an empty description. Say in a sentence what it is."
        case "string_type":
            return f'{key!r} must be text in quotes: {key} = "…"'
        case _:
            return f"{key!r} must be a table: a line [{'.'.join([*table, key])}] and keys below it."


def _explain_no_systems() -> str:
    return 'there is no system. Add one: [systems.NAME] and below it description = "…".'


def _example(key: str) -> str:
    return f'{key} = "…"' if key == "description" else f"a table {key!r} with a line per feature."


def _allowed(key: str, depth: int) -> str:
    allowed = _KEYS[depth]
    close = get_close_matches(key[:200], allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} It may have: {', '.join(allowed)}."


def _not_toml(text: str, name: str, error: tomllib.TOMLDecodeError) -> str:
    message = str(error)
    place = _TOML_LINE.search(message)
    line = int(place[1]) if place else text.count("\n") + 1
    mistake = _TOML_LINE.sub("", message)
    return (
        f"{name}, line {line}: this is not TOML: {mistake}. "
        "Correct the line; each table and each key may stand there only once."
    )
