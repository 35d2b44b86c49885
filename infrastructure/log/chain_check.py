"""Computing the hash chain again, from the stored events."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Protocol

from domain.errors import ChainBroken
from domain.log.chain import EMPTY, START, Head, Link, is_number, next_hash

_TELL_EVERY: Final = 5_000
"""Positions between two reports of the progress."""


class ChainedLog(Protocol):
    """The part of a log that a check of its chain needs."""

    def ending(self) -> Head:
        """The position of the last event, with its hash."""

    def scan(self) -> Iterator[Link]:
        """Every stored event, exactly as it is stored."""


def check_chain(
    log: ChainedLog, signed: Collection[Head], tell: Callable[[int, int], None]
) -> Head:
    """Compute the chain over all stored events, and return its head.

    - `signed`: heads that were kept elsewhere. They must lie on the chain.
    - `tell`: called with the position reached and the last position.

    Raises `ChainBroken` at the first wrong position. No event is decoded.
    """
    end = log.ending().position
    head = EMPTY
    heads: dict[int, set[bytes]] = {0: {START}}
    for signed_head in signed:
        heads.setdefault(signed_head.position, set()).add(signed_head.hash)
    _compare(head, heads)
    for link in log.scan():
        head = _follow(head, link)
        if head.position in heads:
            _compare(head, heads)
        if head.position % _TELL_EVERY == 0:
            tell(head.position, max(head.position, end))
    if head.position < end:
        raise ChainBroken(head.position + 1, f"nothing from here on, but the log went to {end}.")
    beyond = min((position for position in heads if position > head.position), default=None)
    if beyond is not None:
        raise ChainBroken(
            head.position + 1, f"the log ends before it; a head of position {beyond} was signed."
        )
    tell(head.position, head.position)
    return head


def _follow(head: Head, link: Link) -> Head:
    position = head.position + 1
    if not is_number(link.position) or link.position != position:
        raise ChainBroken(position, f"here should be an event; there is one of {link.position!r}.")
    _, who, version, topic, state, _ = link
    # the types too: a query does not find an id of another type
    if type(who) is not str or type(topic) is not str or type(state) is not bytes:
        raise ChainBroken(position, "the event is no event any more.")
    if not is_number(version):
        raise ChainBroken(position, "the event is no event any more.")
    try:
        computed = next_hash(head.hash, position, who, version, topic, state)
    except (OverflowError, UnicodeError):
        raise ChainBroken(position, "the event is no event any more.") from None
    if computed != link.hash:
        raise ChainBroken(position, "the event is not what was hashed.")
    return Head(position, computed)


def _compare(head: Head, heads: Mapping[int, set[bytes]]) -> None:
    if heads[head.position] != {head.hash}:
        raise ChainBroken(
            head.position, "a head signed here earlier has another hash: the log was rewritten."
        )
