"""Checking that a document is exactly as this program stores it, down to its types and the order of
its fields. Any other document in a view was written by something else."""

from typing import Any, Final

import bson
from bson import Int64
from bson.codec_options import CodecOptions, DatetimeConversion

from infrastructure.mongodb.client import Document

ANYTHING: Final = CodecOptions[Document](
    tz_aware=True,
    uuid_representation=4,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
"""Options that also read times beyond the year 9999 and broken text."""

_NARROW: Final = 31
"""Most bits of an integer that MongoDB stores in 32."""


class ForeignKey(bytes):
    """An `_id` that no row of ours can have, as BSON, so that it can be hashed."""

    __slots__ = ()

    @classmethod
    def of(cls, id_: Any) -> "ForeignKey":
        return cls(bson.encode({"_id": id_}))

    @property
    def id(self) -> Any:
        return bson.decode(self, ANYTHING)["_id"]

    def __str__(self) -> str:
        return repr(self.id)


def same(document: Document, expected: Document) -> bool:
    """True if both have equal values in the same order. The types of numbers and flags must be
    compared besides, as 1, 1.0 and true are equal. To encode both would take twice as long."""
    return document == expected and _order(document) == _order(expected)


def _order(document: Document) -> list[Any]:
    return [*document, *(tuple(value) for value in document.values() if type(value) is dict)]


def is_integer(value: Any) -> bool:
    """True if the value was stored as an integer, not as a double with an equal value."""
    return type(value) is int or (type(value) is Int64 and value.bit_length() > _NARROW)
