"""The hash chain over the log: its formula, so that anybody can compute it again.

Each event has a hash of 32 bytes over the hash before it and over all of its stored data:

    hash(0) = 32 zero bytes
    hash(n) = SHA-256( hash(n - 1) || SHA-256( frame(n) ) )

    frame = position    8 bytes \\
            version     8 bytes  |
            len(id)     8 bytes  |  big-endian integers; position and version are signed
            len(topic)  8 bytes  |
            len(state)  8 bytes /
            id          the originator id (of a ticket: 24 hex digits) as text in UTF-8
            topic       the name of the event in UTF-8
            state       the stored bytes, as they are

Nobody can change, remove, add or reorder an event without changing every hash after it. Somebody
who can write to the store can compute all hashes again: only a head that was kept elsewhere shows
that.
"""

from hashlib import sha256
from struct import Struct, error
from typing import Final, NamedTuple, TypeGuard

START: Final = bytes(32)
"""The hash before the first event."""

_HEAD: Final = Struct(">qqQQQ")


class Link(NamedTuple):
    """One event and its hash exactly as they are stored. Somebody may have changed them into values
    of any type."""

    position: object
    originator_id: object
    version: object
    topic: object
    state: object
    hash: object


def next_hash(
    previous: bytes, position: int, originator_id: object, version: int, topic: str, state: bytes
) -> bytes:
    """The hash of an event that follows the one with hash `previous`. Raises `OverflowError` when
    a number has no room in 8 bytes."""
    who, what = str(originator_id).encode(), topic.encode()
    try:
        head = _HEAD.pack(position, version, len(who), len(what), len(state))
    except error as too_big:
        raise OverflowError(f"position {position} or version {version} is no number") from too_big
    return sha256(previous + sha256(head + who + what + state).digest()).digest()


def is_number(value: object) -> TypeGuard[int]:
    """True for an integer, as all positions and versions are; False for 3.0 and for true."""
    return isinstance(value, int) and not isinstance(value, bool)


class Head(NamedTuple):
    """An end of the log: a position, and the hash of the event there."""

    position: int
    hash: bytes


def head_of(position: int, hash_: object) -> Head:
    """The head that a store holds. If its hash was damaged or its event removed, the chain begins
    anew, so that the log goes on; a check of the chain finds that position."""
    if isinstance(hash_, bytes) and len(hash_) == len(START):
        return Head(position, hash_)
    return Head(position, START)


EMPTY: Final = Head(0, START)
"""The head of an empty log."""
