"""A record as text that gives it back to the byte."""

import zlib
from base64 import b64decode, b64encode
from typing import Any, Final

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion

_READ: Final = CodecOptions[dict[str, Any]](datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_LONG: Final = 4 * 1024 * 1024
"""Characters. As text a record may be many times as long, and MongoDB takes events of 16 MB."""


def as_text(record: bytes) -> str:
    """Extended JSON, which people can read. Of a long record it is {"$zlib": base64 of its
    compressed bytes}, and of one that extended JSON would change {"$bytes": base64 of them}."""
    text = _readable(record) or _wrapped("$bytes", record)
    return text if len(text) <= _LONG else _wrapped("$zlib", zlib.compress(record))


def as_bytes(text: str) -> bytes:
    """The record that the text was made of."""
    fields = json_util.loads(text)
    if set(fields) == {"$zlib"}:
        return zlib.decompress(b64decode(fields["$zlib"]))
    return b64decode(fields["$bytes"]) if set(fields) == {"$bytes"} else bson.encode(fields)


def _readable(record: bytes) -> str | None:
    """Extended JSON, if it gives the record back: a field named twice is lost in it, for one, and
    a field that is named like its own words is taken for them."""
    try:
        fields = bson.decode(record, _READ)
        text = json_util.dumps(fields, json_options=json_util.CANONICAL_JSON_OPTIONS)
        return text if as_bytes(text) == record else None
    except Exception:  # a record may hold anything, and its bytes are right whatever it is
        return None


def _wrapped(name: str, content: bytes) -> str:
    return json_util.dumps({name: b64encode(content).decode()})
