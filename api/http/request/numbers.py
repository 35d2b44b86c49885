"""Numbers in queries and headers: digits, and nothing that a program would only guess at."""

import re
from typing import Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")


def _digits(value: object) -> object:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "Input should be a whole number in digits alone")
    return value


DIGITS: Final = BeforeValidator(_digits)
"""Of a whole number: it is written like 10. `1_0`, `5.0` and a number between spaces are refused.
It stands after the bounds, which OpenAPI would not show otherwise."""
