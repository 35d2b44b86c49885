"""The catalogue as TOML text: parsed, checked, and refused with the line that is wrong."""

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
_TOKEN: Final = re.compile(
    r"""
      "{3}(?:[^\\]|\\.)*?"{3,5} | '{3}.*?'{3,5}  # text on several lines; may end in quotes
    | "(?:[^"\\]|\\.)*" | '[^']*'
    | \#[^\n]*
    | (?P<open>[\[{]) | (?P<close>[\]}]) | (?P<newline>\n)
    | [^"'\#\[\]{}\n]+
    """,
    re.VERBOSE | re.DOTALL,
)
"""The tokens of a TOML document, as far as they tell where a statement ends."""

_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


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
"""The keys a table may have, by how deep it is."""


def parse_catalogue(text: str, name: str) -> Catalogue:
    """The catalogue written in `text`; `name` is what error messages call it.

    Raises `ConfigurationError` with one line per mistake: where, what, and what to do.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_not_toml(text, name, error)) from error
    except RecursionError as error:
        raise ConfigurationError(
            f"{name}, line 1: brackets are nested too deeply. "
            "Compare the file with the bundled catalogue."
        ) from error
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        faults = [(_path(detail), _explain(detail)) for detail in error.errors()]
        raise ConfigurationError(_faults(text, name, faults)) from error
    if contradictions := list(_contradictions(file)):
        raise ConfigurationError(_faults(text, name, contradictions))
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


def _faults(text: str, name: str, faults: list[tuple[_Path, str]]) -> str:
    """One line of explanation per fault, in the order of the file."""
    shown = faults[:_FAULTS_SHOWN]
    lines = _lines_of(text, {path for path, _ in shown})
    said = sorted((lines.get(path, 1), what) for path, what in shown)
    return "\n".join(f"{name}, line {line}: {what}" for line, what in said)


def _lines_of(text: str, paths: set[_Path]) -> dict[_Path, int]:
    """The line on which the key at each path first stands, however the file spells it."""
    lines: dict[_Path, int] = {}
    table: _Path = ()
    for line, statement in _statements(text):
        written = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _only_path(written)
            found = {path for path in paths if table[: len(path)] == path}
        else:
            depth = len(table)
            found = {p for p in paths if p[:depth] == table and _holds(written, p[depth:])}
        lines |= dict.fromkeys(found, line)
        paths = paths - found
        if not paths:
            break
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header, pair, comment and empty line of a TOML document, with its first line.

    Taking it apart first makes each be parsed once: a whole file up to some line may end inside
    a value, and finding where it does not took minutes.
    """
    start, line, depth = 0, 1, 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "newline" if depth == 0:
                yield line, text[start : token.end()]
                line += text.count("\n", start, token.end())
                start = token.end()
    yield line, text[start:]


def _only_path(header: dict[str, Any]) -> _Path:
    """The path of the one table that a header makes."""
    path: list[str] = []
    table: Any = header
    while isinstance(table, dict) and table:
        [(key, table)] = table.items()
        path.append(key)
    return tuple(path)


def _holds(table: Any, path: _Path) -> bool:
    for key in path:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _path(detail: ErrorDetails) -> _Path:
    """Where the key is, or for a key that is missing, the table that should have it."""
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
    found = _TOML_LINE.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    what = _TOML_LINE.sub("", message)
    return (
        f"{name}, line {line}: this is not TOML: {what}. "
        "Correct the line; each table and each key may stand there only once."
    )
