"""Much in parts of a bounded size, and a bounded number of them at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that many; the last may be shorter."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some


def ahead(items: Iterable[Item], size: int) -> Iterator[Item]:
    """The same items; each is handed on when it is the first of that many that were taken, or
    there are no more: work begins by taking it, and is waited for once it is handed on."""
    taken = deque[Item]()
    for item in items:
        taken.append(item)
        if len(taken) == size:
            yield taken.popleft()
    yield from taken
