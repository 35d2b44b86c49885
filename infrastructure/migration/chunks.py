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


def parts(records: Iterable[bytes], count: int, length: int) -> Iterator[list[bytes]]:
    """The records in lists of at most that many, which have at most that many bytes together; one
    that has more comes alone."""
    some, size = list[bytes](), 0
    for record in records:
        if some and (len(some) == count or size + len(record) > length):
            yield some
            some, size = [], 0
        some.append(record)
        size += len(record)
    if some:
        yield some


def ahead(items: Iterable[Item], size: int) -> Iterator[Item]:
    """The same items, `size` of them begun before the first is handed on: for items that are work
    which begins when it is taken and is waited for afterwards."""
    taken = deque[Item]()
    for item in items:
        taken.append(item)
        if len(taken) == size:
            yield taken.popleft()
    yield from taken
