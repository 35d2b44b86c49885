"""Reading records that hold what they should not, where only a part of them matters."""

from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

LENIENT: Final = CodecOptions[dict[str, Any]](
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="backslashreplace",
)
"""Takes dates of any year, and text that is none."""


def fields_of(record: bytes) -> dict[str, Any]:
    """The fields of a record, as far as they can be told; none of what is no document at all."""
    try:
        return bson.decode(record, LENIENT)
    except BSONError:
        return {}


def id_of(record: bytes) -> Any:
    """The `_id` of a record, whatever else it holds; None when it has none."""
    return fields_of(record).get("_id")
