"""How documents of the old system are read from BSON. Processes that only translate them load this,
and no client of MongoDB."""

from typing import Any, Final

from bson.codec_options import CodecOptions, DatetimeConversion

OLD_RECORDS: Final = CodecOptions[dict[str, Any]](
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="backslashreplace",
)
"""Reads documents of the old system although they hold dates of any year, or broken text."""
