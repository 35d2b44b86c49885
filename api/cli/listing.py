"""Listings that say how much there is beside what they print."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from api.cli.output import print_json, print_table, say

_PAGE: Final = 1_000
"""Items of one page; a listing looks so far beyond what it prints."""

Item = TypeVar("Item")
Page = Callable[[Any, int], tuple[Sequence[Item], Any]]
"""Reads at most so many items after a place, None for the first, and the place where it ended:
None when nothing follows."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """The items to print, at most `limit`; `ahead` are some of those that follow, and `whole` is
    True if they are all of those."""

    items: Sequence[Item]
    ahead: Sequence[Item]
    whole: bool
    limit: int | None

    def print_json(self, body: Callable[[Item], Any], noun: str) -> None:
        """An item is what is printed."""
        print_json([body(item) for item in self.items])
        self._say_rest(len(self.items), len(self.items) + len(self.ahead), noun)

    def print_lines(self, lines: Iterable[bytes], noun: str) -> None:
        """Bytes as they are, made of the items: each is what is printed."""
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
        self._say_rest(len(self.items), len(self.items) + len(self.ahead), noun)

    def print_table(
        self,
        columns: Sequence[str],
        rows: Callable[[Item], Sequence[Sequence[object]]],
        noun: str,
        filters: dict[str, Any],
    ) -> None:
        """A row is what is printed, and an item may be several. An empty table says which of the
        filters emptied it."""
        all_rows = [row for item in self.items for row in rows(item)]
        printed = all_rows[: self.limit]
        print_table(columns, printed)
        self._say_rest(
            len(printed), len(all_rows) + sum(len(rows(item)) for item in self.ahead), noun
        )
        if not printed:
            say(f"No {noun}{_only(filters)}.")

    def _say_rest(self, printed: int, known: int, noun: str) -> None:
        if printed < known or not self.whole:
            number = f"{known:,}" if self.whole else f"at least {known:,}"
            say(f"{printed:,} of {number} {noun}. See more with --limit or --all.")


def read_listing(page: Page[Item], limit: int | None) -> Listing[Item]:
    """Page after page, until there are `limit` items, or no more; then one page ahead."""
    items: list[Item] = []
    place = None
    while limit is None or len(items) < limit:
        wanted = _PAGE if limit is None else min(limit - len(items), _PAGE)
        read, place = page(place, wanted)
        items += read
        if place is None:
            return Listing(items, (), True, limit)
    ahead, place = page(place, _PAGE)
    return Listing(items, ahead, place is None, limit)


def _only(filters: dict[str, Any]) -> str:
    used = [f"{name.replace('_', '-')} {value}" for name, value in filters.items() if value]
    return f" with {', '.join(used)}" if used else ""
