"""The `tickets` view on MongoDB.

A version is a collection `tickets_N` with one document per ticket: the fields of mongoose's shape
in its order, then `version`, `position` and `retired`. Other services find the tickets in use
under the name `tickets`, in exactly mongoose's shape: a read-only MongoDB view of the live
version (`infrastructure/mongodb/versions.py` keeps it there), so that a switch of versions is one
atomic step for them too.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from bson import ObjectId
from pymongo import DeleteMany, IndexModel, InsertOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from domain.errors import RowUnreadable
from domain.ticket.state import Ticket
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.exact import is_integer, same
from infrastructure.mongodb.failures import answering, is_duplicate
from infrastructure.mongodb.ticket_search import RETIRED_INDEX, documents
from infrastructure.mongodb.views import MongoDBView
from projections.running.projection import Key
from projections.tickets.projection import TICKETS
from projections.tickets.search import TicketFilter, TicketPage, TicketSearch, page_of

_Write = InsertOne[Document] | ReplaceOne[Document] | DeleteMany

_IN_USE: Final[Document] = {"retired": False}

_KEYS: Final = (
    # The organisation last: with one, every filter finds its page in `_id` order. Without one
    # (platform staff) MongoDB weighs sorting the matches against walking along `_id`, and either
    # is short: matches are few, or soon met. One index with many keys per ticket is enough.
    [("orgId", 1), ("_id", 1)],
    [("system", 1), ("orgId", 1), ("_id", 1)],
    [("name", 1), ("orgId", 1), ("_id", 1)],
    [("features", 1), ("orgId", 1), ("_id", 1)],
)

MONGOOSE_SHAPE: Final[list[Document]] = [
    {"$match": _IN_USE},
    {"$project": {"version": 0, "position": 0, "retired": 0}},
]
"""The stages that turn a version into the documents that other services see."""


class MongoDBTickets(MongoDBView[Ticket]):
    """A `View` and its `TicketReader`."""

    indexes = (
        *(IndexModel(keys, partialFilterExpression=_IN_USE) for keys in _KEYS),
        IndexModel(_KEYS[0], name=RETIRED_INDEX, partialFilterExpression={"retired": True}),
    )

    def __init__(self, database: Database[Document], version: int) -> None:
        super().__init__(database, TICKETS.name, version)

    def get(self, ticket_id: str) -> Ticket | None:
        return self.latest((ticket_id,)).get(ticket_id)

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Ticket]:
        ids = _object_ids(ticket_ids)
        if not ids:
            return {}
        with answering():
            tickets = map(_ticket, self._rows.find({"_id": {"$in": ids}}))
            return {ticket.id: ticket for ticket in tickets}

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        match = _match(where)
        if after_id is not None:
            match["_id"] = {"$gt": ObjectId(after_id)}
        with answering():
            return [
                _ticket(document) for document in self._rows.find(match).sort("_id", 1).limit(limit)
            ]

    def search(self, search: TicketSearch, after_id: str | None, limit: int) -> TicketPage:
        with answering():
            matches, edge = documents(self._rows, search, after_id, limit + 1)
        return page_of([_ticket(document) for document in matches], edge, limit)

    def _key(self, id_: Any) -> Key | None:
        return str(id_) if type(id_) is ObjectId else None

    def _id(self, key: Key) -> Any:
        return ObjectId(key) if ObjectId.is_valid(key) else key

    def _row(self, document: Document) -> Ticket | None:
        ticket = _ticket(document)
        numbers = (ticket.version, ticket.position, ticket.revision)
        ours = type(ticket.retired) is bool and all(map(is_integer, numbers))
        return ticket if ours and same(document, _document(ticket)) else None

    def _write(
        self, rows: Sequence[tuple[str, Ticket | None]], session: ClientSession, *, over: bool
    ) -> None:
        gone = _object_ids([ticket_id for ticket_id, ticket in rows if ticket is None])
        writes: list[_Write] = [DeleteMany({"_id": {"$in": gone}})] if gone else []
        for _, ticket in rows:
            if ticket is not None:
                document = _document(ticket)
                begins = ticket.version == 1 and not over
                writes.append(InsertOne(document) if begins else _replace(document))
        if writes:
            self._rows.bulk_write(writes, ordered=False, session=session)

    def _load(self, rows: Sequence[Ticket]) -> None:
        documents = [_document(ticket) for ticket in rows]
        try:
            self._rows.insert_many(documents, ordered=False)
            return
        except PyMongoError as error:
            if not is_duplicate(error):
                raise
        # some exist already: replace only those that are older
        for document in documents:
            behind = {"_id": document["_id"], "version": {"$lt": document["version"]}}
            self._rows.replace_one(behind, document)


def _replace(document: Document) -> ReplaceOne[Document]:
    return ReplaceOne({"_id": document["_id"]}, document, upsert=True)


def _match(where: TicketFilter) -> Document:
    match: dict[str, Any] = {
        "system": where.system,
        "name": where.name,
        "features": where.feature,
        "orgId": ObjectId(where.org_id) if where.org_id is not None else None,
    }
    return _IN_USE | {field: value for field, value in match.items() if value is not None}


def _object_ids(ticket_ids: Collection[str]) -> list[ObjectId]:
    """The ids that can have rows. A record in quarantine may have an id of any kind."""
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
        "version": ticket.version,
        "position": ticket.position,
        "retired": ticket.retired,
    }


def _ticket(document: Document) -> Ticket:
    try:
        return Ticket(
            id=str(document["_id"]),
            org_id=str(document["orgId"]),
            system=document["system"],
            name=document["name"],
            features=tuple(document["features"]),
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
            retired=document["retired"],
            revision=document["__v"],
            version=document["version"],
            position=document["position"],
        )
    except (KeyError, TypeError) as error:
        raise RowUnreadable(TICKETS.name, document["_id"], error) from error
