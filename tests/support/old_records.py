"""Records of the old system: a clean one, and odd ones."""

from datetime import UTC, datetime
from typing import Any

import bson
from bson import Code, ObjectId
from bson.datetime_ms import DatetimeMS

from tests.support.stories import ACME, START

FOREMAN = ObjectId("52f22665a60c12d289185d95")
BORN = datetime(2014, 2, 5, 11, 54, 13, tzinfo=UTC)
CLEAN: dict[str, Any] = {
    "_id": FOREMAN,
    "name": "Foreman",
    "orgId": ObjectId(ACME),
    "features": ["create_worker", "get_all"],
    "createdAt": START,
    "updatedAt": START,
    "__v": 7,
}


def without(*names: str, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (CLEAN | fields).items() if name not in names}


def nameless(**fields: Any) -> bytes:
    return bson.encode(without("name", **fields))


ODD: dict[str, bytes] = {
    "a date in the year 33658": nameless(createdAt=DatetimeMS(10**15)),
    "a word of extended JSON": nameless(notes={"$date": "yesterday"}),
    "what looks like an id": nameless(notes={"$oid": ACME}),
    "what looks like a number": nameless(notes={"$numberLong": "5"}),
    "what looks like bytes": bson.encode({"$bytes": "eA=="}),
    "a field named twice": nameless(ab=1, ac=2).replace(b"ac\0", b"ab\0"),
    "an undefined value": nameless(ab=None).replace(b"\x0aab\0", b"\x06ab\0"),
    "a symbol": nameless(ab="x").replace(b"\x02ab\0", b"\x0eab\0"),
    "code": nameless(notes=[Code("x()"), Code("x()", {"y": 1})]),
    "text that is none": nameless(ab="??").replace(b"??", b"\xff?"),
}
