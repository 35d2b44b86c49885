"""Telling whether a stored document is exactly what we store, down to its types and the order of
its fields: whatever else stands in a view was put there by something else."""

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
"""Reads also what our own options would choke on: times beyond the year 9999, broken text."""

_NARROW: Final = 31
"""Bits of an integer that is stored in 32."""


class Stranger(bytes):
    """A key of a row under which none of ours can stand: `_id`, encoded, so that it has a hash."""

    __slots__ = ()

    @classmethod
    def of(cls, id_: Any) -> "Stranger":
        return cls(bson.encode({"_id": id_}))

    @property
    def id(self) -> Any:
        return bson.decode(self, ANYTHING)["_id"]

    def __str__(self) -> str:
        return repr(self.id)


def same(document: Document, expected: Document) -> bool:
    """Whether both hold equal values in the same order. Of numbers and flags the types must be
    looked at besides: 1, 1.0 and true are equal. To encode both would take twice as long."""
    return document == expected and _order(document) == _order(expected)


def _order(document: Document) -> list[Any]:
    return [*document, *(tuple(value) for value in document.values() if type(value) is dict)]


def is_integer(value: Any) -> bool:
    """Whether it was stored as we store an integer. One that is equal may be a double."""
    return type(value) is int or (type(value) is Int64 and value.bit_length() > _NARROW)
