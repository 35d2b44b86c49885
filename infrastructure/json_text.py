"""JSON that somebody else wrote: a file, a line, a body."""

import json
from collections import Counter
from typing import Any


def read_json(text: bytes | str) -> Any:
    """The value. Raises `ValueError`, with a reason that reads on after "it", when the text is not
    UTF-8, is no JSON, is nested too deeply, or names a key twice in one object: which of the two
    counts would depend on the reader."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(decoded, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"is no JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise ValueError(f"names the key {names.most_common(1)[0][0][:200]!r} twice")
    return value
