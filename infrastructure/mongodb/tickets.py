"""The `tickets` view on MongoDB.

The collection `tickets` holds the tickets in use in exactly the shape mongoose leaves, for other
services to read and populate. What that shape has no room for stands beside it in
`ticket_versions`: `{_id, version, position, retired}`, where `retired` is null, or the whole
document of a ticket that is out of use. Reads join the two at one snapshot.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from bson import ObjectId
from pymongo import DeleteMany, InsertOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database

from domain.errors import StoreCorrupt
from domain.ticket import Ticket
from infrastructure.mongodb.client import Document, answering
from infrastructure.mongodb.views import SNAPSHOT, MongoDBView
from projections.tickets import TICKETS, TicketFilter

_PAGE: Final = 1_000

_Write = InsertOne[Document] | ReplaceOne[Document] | DeleteMany

_INDEXES: Final = (
    # The organisation last: with one, every filter finds its page in `_id` order. Without one
    # (platform staff) MongoDB weighs sorting the matches against walking along `_id`, and either
    # is short: matches are few, or soon met. One index with many keys per ticket is enough.
    [("orgId", 1), ("_id", 1)],
    [("system", 1), ("orgId", 1), ("_id", 1)],
    [("name", 1), ("orgId", 1), ("_id", 1)],
    [("features", 1), ("orgId", 1), ("_id", 1)],
)

_UNKNOWN: Final[Document] = {"version": 0, "position": 0, "retired": None}
_RETIRED: Final[Document] = {"retired": {"$type": "object"}}

_WITH_CONTENT: Final[Document] = {
    "$lookup": {"from": "tickets", "localField": "_id", "foreignField": "_id", "as": "content"}
}
_WITH_KNOWN: Final[Document] = {
    "$lookup": {
        "from": "ticket_versions",
        "localField": "_id",
        "foreignField": "_id",
        "as": "known",
    }
}


class MongoDBTickets(MongoDBView[Ticket]):
    """A `View` and its `TicketReader`. Creates its indexes when opened."""

    def __init__(self, database: Database[Document]) -> None:
        self._tickets = database["tickets"]
        self._versions = database["ticket_versions"]
        with answering():
            for keys in _INDEXES:
                self._tickets.create_index(keys)
            self._versions.create_index("retired._id", partialFilterExpression=_RETIRED)
        # versions are cleared first: without one a document is no ticket of ours to a reader
        super().__init__(database, TICKETS.name, (self._versions, self._tickets))

    def get(self, ticket_id: str) -> Ticket | None:
        return self.latest((ticket_id,)).get(ticket_id)

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Ticket]:
        ids = _object_ids(ticket_ids)
        pipeline: list[Document] = [{"$match": {"_id": {"$in": ids}}}, _WITH_CONTENT]
        found = self._aggregate(self._versions, pipeline) if ids else ()
        tickets = (
            _ticket(known, known["retired"] or _only(known["content"]) or {}) for known in found
        )
        return {ticket.id: ticket for ticket in tickets}

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        match = _match(where)
        if after_id is not None:
            match["_id"] = {"$gt": ObjectId(after_id)}
        found: list[Ticket] = []
        while (wanted := limit - len(found)) > 0:
            page = self._page(match, wanted)
            # what no event put there is no ticket of ours
            found += [_ticket(known, content) for content in page if (known := _in_use(content))]
            if len(page) < wanted:
                break
            match["_id"] = {"$gt": page[-1]["_id"]}
        return found

    def rows(self, ticket_id: str | None = None) -> Iterator[tuple[str, Ticket]]:
        """What no event put into the collection is a row too, of version 0; what somebody else
        took out of it is none."""
        mine: Document = {} if ticket_id is None else {"_id": {"$in": _object_ids((ticket_id,))}}
        with answering():
            for known in self._versions.find({"$and": [mine, _RETIRED]}):
                yield str(known["_id"]), _ticket(known, known["retired"])
        above: Document = {}
        while page := self._page({"$and": [mine, above]}, _PAGE):
            for content in page:
                known = _in_use(content) or _UNKNOWN | {"_id": content["_id"]}
                yield str(content["_id"]), _ticket(known, content)
            above = {"_id": {"$gt": page[-1]["_id"]}}

    def _page(self, match: Document, limit: int) -> list[Document]:
        page: list[Document] = [
            {"$match": match},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
            _WITH_KNOWN,
        ]
        return self._aggregate(self._tickets, page)

    def _aggregate(
        self, collection: MongoCollection[Document], pipeline: list[Document]
    ) -> list[Document]:
        with answering():
            return list(collection.with_options(read_concern=SNAPSHOT).aggregate(pipeline))

    def _write(
        self, rows: Sequence[tuple[str, Ticket | None]], session: ClientSession, *, over: bool
    ) -> None:
        out_of_use: list[ObjectId] = []
        gone: list[ObjectId] = []
        contents: list[_Write] = []
        versions: list[_Write] = []
        for ticket_id, ticket in rows:
            if ticket is None:
                gone += _object_ids((ticket_id,))
                continue
            document = _document(ticket)
            known = {
                "_id": document["_id"],
                "version": ticket.version,
                "position": ticket.position,
                "retired": document if ticket.retired else None,
            }
            begins = ticket.version == 1 and not over
            versions.append(_put(known, begins))
            if ticket.retired:
                out_of_use.append(document["_id"])
            else:
                contents.append(_put(document, begins))
        if gone or out_of_use:
            contents.append(DeleteMany({"_id": {"$in": gone + out_of_use}}))
        if gone:
            versions.append(DeleteMany({"_id": {"$in": gone}}))
        if contents:
            self._tickets.bulk_write(contents, ordered=False, session=session)
        if versions:
            self._versions.bulk_write(versions, ordered=False, session=session)


def _put(document: Document, begins: bool) -> _Write:
    if begins:
        return InsertOne(document)
    return ReplaceOne({"_id": document["_id"]}, document, upsert=True)


def _match(where: TicketFilter) -> Document:
    match: dict[str, Any] = {
        "system": where.system,
        "name": where.name,
        "features": where.feature,
        "orgId": ObjectId(where.org_id) if where.org_id is not None else None,
    }
    return {field: value for field, value in match.items() if value is not None}


def _only(joined: Sequence[Document]) -> Document | None:
    return joined[0] if joined else None


def _in_use(content: Document) -> Document | None:
    """What is known of a document in `tickets`; None if it should not be there."""
    known = _only(content["known"])
    return known if known and known["retired"] is None else None


def _object_ids(ticket_ids: Collection[str]) -> list[ObjectId]:
    """Ids of records in quarantine can be anything; only ObjectIds have rows."""
    return [ObjectId(ticket_id) for ticket_id in ticket_ids if ObjectId.is_valid(ticket_id)]


def _document(ticket: Ticket) -> Document:
    return {
        "_id": ObjectId(ticket.id),
        "name": ticket.name,
        "orgId": ObjectId(ticket.org_id),
        "system": ticket.system,
        "features": list(ticket.features),
        "createdAt": ticket.created_at,
        "updatedAt": ticket.updated_at,
        "__v": ticket.revision,
    }


def _ticket(known: Document, content: Document) -> Ticket:
    try:
        return Ticket(
            id=str(known["_id"]),
            org_id=str(content["orgId"]),
            system=content["system"],
            name=content["name"],
            features=tuple(content["features"]),
            created_at=content["createdAt"],
            updated_at=content["updatedAt"],
            retired=known["retired"] is not None,
            revision=content["__v"],
            version=known["version"],
            position=known["position"],
        )
    except (KeyError, TypeError) as error:
        raise StoreCorrupt(
            f"Ticket {known['_id']} in the collection tickets was changed or deleted by something "
            f"else (missing or unusable: {error}). Rebuild the projection tickets."
        ) from error
