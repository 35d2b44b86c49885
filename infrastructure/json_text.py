"""JSON that somebody else wrote: a file, a line, a body. The one strict reader of it."""

import json
from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from domain.errors import Fault

NESTING: Final = 32
"""Most levels of lists and objects in one text."""

REPEATED: Final = "repeated-field"

SYNTAX: Final = "is no JSON: "
"""What the message of a mistake in the syntax begins with."""

_LISTED: Final = 20
"""Most repeated fields in one refusal."""

_LOOKED_AT: Final = 2_000
"""Most lists and objects that are searched for them."""

_SHOWN: Final = 64
"""Most characters of a name in an answer."""

_MARK: Final = b"\xef\xbb\xbf"
"""What some programs put before UTF-8; RFC 8259 lets a reader pass over it."""


class NotJSON(ValueError):
    """The text is no JSON in UTF-8, or is nested too deeply. The message reads on after "it"."""


class FieldsRepeated(ValueError):
    """An object has a field twice: which of the two counts would depend on the reader. A `Fault`
    for each, with a pointer to it; the message reads on after "it"."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        super().__init__(f"names the key {name[:200]!r} twice")
        self.faults = faults


def read_json(content: bytes | str) -> Any:
    """The value. Raises `NotJSON`, `FieldsRepeated`."""
    try:
        text = content if isinstance(content, str) else _decoded(content)
        value = _parse(text)
    except UnicodeDecodeError:
        raise NotJSON("is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        if "\0" in text[:4]:  # UTF-16 or UTF-32
            raise NotJSON("is not UTF-8 text") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJSON(f"{SYNTAX}{error.msg}, {where}") from None
    except RecursionError:
        raise NotJSON("is nested too deeply") from None
    except _Twice as error:
        raise FieldsRepeated(error.name, _repeated(text)) from None
    except NotJSON:
        raise
    except ValueError:  # its message is advice to programmers
        raise NotJSON("has a value that cannot be read") from None
    if text.count("[") + text.count("{") > NESTING and is_deep(value):
        raise NotJSON("is nested too deeply")
    return value


def _decoded(content: bytes) -> str:
    return content.removeprefix(_MARK).decode()


def is_deep(value: Any) -> bool:
    """True if the value has more levels of lists and objects than are read."""
    level = [value]
    for _ in range(NESTING):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


class _Twice(Exception):
    """An object has this field twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Twice(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return fields


def _constant(name: str) -> Any:
    raise NotJSON(f"has {name}, which is no value of JSON")


_parse: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


class _Object(dict[str, Any]):
    """An object that remembers which of its fields came again."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.again: list[str] = []
        if len(self) != len(pairs):
            seen = set[str]()
            for name, _ in pairs:
                if name in seen:
                    self.again.append(name)
                seen.add(name)


def _repeated(text: str) -> list[Fault]:
    """Where fields are given twice. The text is read again, as hardly any needs this; in a large
    one not everything is looked at."""
    faults: list[Fault] = []
    waiting = deque([("", json.loads(text, object_pairs_hook=_Object))])
    looked_at = 0
    while waiting and len(faults) < _LISTED and looked_at < _LOOKED_AT:
        path, value = waiting.popleft()
        looked_at += 1
        if isinstance(value, _Object):
            for name in dict.fromkeys(value.again[:_LISTED]):
                detail = f"The field {name[:_SHOWN]!r} is given twice. Send it once."
                faults.append(Fault(f"{path}/{escaped(name)}", REPEATED, detail))
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        waiting += [
            (f"{path}/{escaped(str(step))}", content)
            for step, content in islice(inner, _LOOKED_AT)
            if isinstance(content, dict | list)
        ]
    return faults[:_LISTED] or [Fault("", REPEATED, "A field is given twice. Send it once.")]


def escaped(part: str) -> str:
    """One step of a pointer (RFC 6901), cut to what is worth reading."""
    readable = part[:_SHOWN].encode(errors="replace").decode()  # half a surrogate pair is not
    return readable.replace("~", "~0").replace("/", "~1")
