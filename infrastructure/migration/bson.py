"""Reading records that hold what they should not, where only a part of them matters."""

from typing import Any

import bson
from bson.errors import BSONError

from infrastructure.old_records import OLD_RECORDS


def fields_of(record: bytes) -> dict[str, Any]:
    """The fields of a record, as far as they can be read; none when it is no document."""
    try:
        return bson.decode(record, OLD_RECORDS)
    except BSONError:
        return {}


def id_of(record: bytes) -> Any:
    """The `_id` of a record, even of an unusable one; None when it has none."""
    return fields_of(record).get("_id")
