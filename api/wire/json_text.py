"""JSON as others send it: the one strict reader of bodies."""

import json
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from domain.errors import Fault

NESTING: Final = 32
"""Most levels of lists and objects in one body."""

REPEATED: Final = "repeated-field"

_LISTED: Final = 20
"""Most repeated fields in one refusal."""

_LOOKED_AT: Final = 2_000
"""Most lists and objects that are searched for them."""

_SHOWN: Final = 64
"""Most characters of a name in an answer."""

_MARK: Final = b"\xef\xbb\xbf"
"""What some programs put before UTF-8; RFC 8259 lets a reader pass over it."""


class NotJSON(ValueError):
    """The text is no JSON in UTF-8, or is nested too deeply. The message says why."""


class FieldsRepeated(ValueError):
    """An object has a field twice. A `Fault` for each, with a pointer to it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].detail)
        self.faults = faults


def read_json(content: bytes) -> Any:
    """The value. Raises `NotJSON`, `FieldsRepeated`."""
    if content.startswith(_MARK):
        content = content[len(_MARK) :]
    try:
        text = content.decode()
        value = _decode(text)
    except UnicodeDecodeError:
        raise NotJSON("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        if "\0" in text[:4]:  # UTF-16 or UTF-32
            raise NotJSON("it is not UTF-8") from None
        raise NotJSON(error.msg) from None
    except RecursionError:
        raise NotJSON("it is nested too deeply") from None
    except _Twice:
        raise FieldsRepeated(_repeated(text)) from None
    except NotJSON:
        raise
    except ValueError:  # its message is advice to programmers
        raise NotJSON("a value in it cannot be read") from None
    if content.count(b"[") + content.count(b"{") > NESTING and is_deep(value):
        raise NotJSON("it is nested too deeply")
    return value


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
    """An object has a field twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Twice
    return fields


def _constant(name: str) -> Any:
    raise NotJSON(f"{name} is no value of JSON")


_decode: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


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
