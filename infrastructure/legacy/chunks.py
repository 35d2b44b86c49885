"""Much in parts of a bounded size."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that many; the last may be shorter."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some
