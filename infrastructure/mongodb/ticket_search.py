"""Looking through tickets on MongoDB, at a cost that does not grow with their number.

The organisation leads, or all tickets for platform staff: an index gives tickets in order of their
ids, and each is tested against the other conditions. A page ends at the `SCAN`th.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection as MongoCollection

from infrastructure.mongodb.client import Document
from projections.tickets.search import SCAN, TicketSearch

IN_USE_INDEX: Final = "orgId_1__id_1"
RETIRED_INDEX: Final = "retired"
"""The indexes on organisation and id: of tickets in use, and of retired ones."""


def documents(
    rows: MongoCollection[Document], search: TicketSearch, after_id: str | None, limit: int
) -> tuple[Sequence[Document], str | None]:
    """The first matching documents, at most `limit`; and the last id that a page may examine, or
    None if it may examine all."""
    where = search.where
    lead: Document = {"_id": {"$gt": ObjectId(after_id)}} if after_id else {}
    index: str | list[tuple[str, int]] = [("_id", 1)]
    if where.org_id is not None:
        lead |= {"orgId": ObjectId(where.org_id), "retired": search.retired}
        index = RETIRED_INDEX if search.retired else IN_USE_INDEX
    order: list[tuple[str, int]] = [("_id", 1)]
    last = next(rows.find(lead, {"_id": 1}, sort=order, hint=index, skip=SCAN - 1, limit=1), None)
    edge: ObjectId | None = last["_id"] if last else None
    tests: dict[str, Any] = {
        "system": where.system,
        "name": where.name,
        "features": where.feature,
        "retired": search.retired,
        "_id": edge and {**lead.get("_id", {}), "$lte": edge},
    }
    match = lead | {field: value for field, value in tests.items() if value is not None}
    if search.name_contains is None:
        return list(rows.find(match, sort=order, hint=index, limit=limit)), _text(edge)
    # names are compared here, as MongoDB folds the case of ASCII letters alone
    part = search.name_contains.casefold()
    names = rows.find(match, {"name": 1}, sort=order, hint=index)
    ids = (document["_id"] for document in names if part in str(document["name"]).casefold())
    matches = rows.find({"_id": {"$in": list(islice(ids, limit))}}, sort=order)
    return list(matches), _text(edge)


def _text(id_: ObjectId | None) -> str | None:
    return None if id_ is None else str(id_)
