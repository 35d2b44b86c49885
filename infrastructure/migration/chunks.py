"""Chunks of bounded size, and a bounded number of chunks in flight."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that many; the last may be shorter."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def parts(records: Iterable[bytes], count: int, length: int) -> Iterator[list[bytes]]:
    """The records in lists of at most that many, which have at most that many bytes together; one
    that has more comes alone."""
    part, size = list[bytes](), 0
    for record in records:
        if part and (len(part) == count or size + len(record) > length):
            yield part
            part, size = [], 0
        part.append(record)
        size += len(record)
    if part:
        yield part


def ahead(items: Iterable[Item], size: int) -> Iterator[Item]:
    """The same items, `size` of them begun before the first is handed on: for work that begins
    when it is taken from `items`, and is waited for afterwards."""
    begun = deque[Item]()
    for item in items:
        begun.append(item)
        if len(begun) == size:
            yield begun.popleft()
    yield from begun
