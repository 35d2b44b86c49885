"""Whether records are tickets at all, before anything is done with them."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from domain.errors import SourceUnusable

_LOOK: Final = 100
"""Records that are looked at."""

_ENOUGH: Final = 10
"""Fewer records tell nothing: a handful may well be dirty, all of them."""

_TELLING: Final = ("orgId", "features")
"""Fields that a ticket has, and hardly anything else."""


def tickets(records: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The same records. Raises `SourceUnusable` when none of the first hundred looks like a
    ticket: dirty ones belong in quarantine, but not a million users that were named by mistake."""
    first = list(islice(records, _LOOK))
    if len(first) >= _ENOUGH and not any(map(_looks_like_one, first)):
        raise SourceUnusable(
            f"None of the first {len(first)} records in {name} has an orgId or features: these are "
            "no tickets. Nothing was taken over. Is it the right collection, or file?"
        )
    return chain(first, records)


def _looks_like_one(record: bytes) -> bool:
    try:
        fields = RawBSONDocument(record)
        return any(name in fields for name in _TELLING)
    except BSONError:
        return False
