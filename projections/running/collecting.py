"""Python's collector of cycles, where millions of objects come and go."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OBJECTS: Final = 200_000
"""Objects that pile up before cycles among them are looked for."""


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Almost none of these objects is in a cycle: looking for some as often as usual would take a
    sixth of the time, and more the more rows are remembered. Still done where objects pile up."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
