"""The `audit` view on MongoDB: one document per event, its position as `_id`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import IndexModel, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from domain.errors import RowUnreadable
from domain.origin import MILLISECOND, milliseconds_up
from infrastructure.mongodb.audit_as_of import (
    BY_FEATURE,
    BY_ORGANISATION,
    BY_TICKET,
    last_entries,
    last_grants,
)
from infrastructure.mongodb.audit_search import LEADING, documents
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.exact import is_integer, same
from infrastructure.mongodb.failures import answering, is_duplicate
from infrastructure.mongodb.views import MongoDBView
from projections.audit.as_of import PastReader, Then, ThenPage
from projections.audit.projection import AUDIT, AuditEntry, TicketContent
from projections.audit.search import END, AuditFilter, AuditReader, EntryPage, bounds
from projections.running.projection import Key
from projections.tickets.search import TicketFilter

_KEYS: Final = (
    # each ends in the position, so each gives its page in order
    BY_TICKET,
    BY_ORGANISATION,
    BY_FEATURE,
    *([(field, 1), ("_id", 1)] for field in LEADING if field != "ticketId"),
    [("recordedAt", 1), ("_id", 1)],
)


class MongoDBAudit(MongoDBView[AuditEntry], AuditReader, PastReader):
    """A `View` and its `AuditReader` and `PastReader`."""

    indexes = tuple(IndexModel(keys) for keys in _KEYS)

    def __init__(self, database: Database[Document], version: int) -> None:
        super().__init__(database, AUDIT.name, version)

    def page(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> EntryPage:
        with answering():
            within = bounds(
                where,
                beyond,
                newest_first=newest_first,
                since=self._bound(where.since),
                before=self._bound(where.before),
            )
            documents_found, edge = documents(
                self._rows, where, within, limit=limit + 1, newest_first=newest_first
            )
        more = len(documents_found) > limit
        entries = [_entry(document) for document in documents_found[:limit]]
        return EntryPage(entries, entries[-1].position if more else edge)

    def position_at(self, moment: datetime) -> int | None:
        with answering():
            later = self._first(moment + MILLISECOND)
        return None if later == END else later - 1

    def tickets_at(
        self, position: int, where: TicketFilter, *, beyond: str | None, limit: int
    ) -> ThenPage:
        with answering():
            documents_found, edge = last_entries(self._rows, position, where, beyond, limit + 1)
            ids = [document["ticketId"] for document in documents_found[:limit]]
            grants: Mapping[str, Document] = {}
            if where.feature is not None and ids:
                grants = last_grants(self._rows, where.feature, ids, position)
        tickets = [
            Then(_entry(document), _entry(grants[ticket_id]) if ticket_id in grants else None)
            for ticket_id, document in zip(ids, documents_found, strict=False)
        ]
        return ThenPage(tickets, ids[-1] if len(documents_found) > limit else edge)

    def between(self, ticket_ids: Collection[str], after: int, upto: int) -> Sequence[AuditEntry]:
        match = {"ticketId": {"$in": list(ticket_ids)}, "_id": {"$gt": after, "$lte": upto}}
        with answering():
            entries = [_entry(document) for document in self._rows.find(match)]
        return sorted(entries, key=lambda entry: entry.position)

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, AuditEntry]:
        # Sorted like the index, $first jumps from ticket to ticket instead of reading histories.
        last_of_each: list[Document] = [
            {"$match": {"ticketId": {"$in": list(ticket_ids)}}},
            {"$sort": {"ticketId": 1, "_id": -1}},
            {"$group": {"_id": "$ticketId", "last": {"$first": "$$ROOT"}}},
        ]
        with answering():
            groups = self._rows.aggregate(last_of_each) if ticket_ids else ()
            return {group["_id"]: _entry(group["last"]) for group in groups}

    def _key(self, id_: Any) -> Key | None:
        return int(id_) if is_integer(id_) else None

    def _id(self, key: Key) -> Any:
        return key

    def _row(self, document: Document) -> AuditEntry | None:
        entry = _entry(document)
        contents = [content for content in (entry.before, entry.after) if content]
        ours = is_integer(entry.version) and all(type(c.retired) is bool for c in contents)
        ours = ours and (entry.reason is None or type(entry.reason) is str)
        return entry if ours and same(document, _document(entry)) else None

    def _write(
        self, rows: Sequence[tuple[str, AuditEntry | None]], session: ClientSession, *, over: bool
    ) -> None:
        documents = [_document(entry) for _, entry in rows if entry is not None]
        if documents and over:
            writes = [
                ReplaceOne({"_id": document["_id"]}, document, upsert=True)
                for document in documents
            ]
            self._rows.bulk_write(writes, ordered=False, session=session)
        elif documents:
            self._rows.insert_many(documents, ordered=False, session=session)

    def _load(self, rows: Sequence[AuditEntry]) -> None:
        # in order, and a stored entry never changes: an interruption leaves the beginning
        try:
            self._rows.insert_many([_document(entry) for entry in rows])
        except PyMongoError as error:
            if not is_duplicate(error):
                raise
            writes = [ReplaceOne({"_id": e.position}, _document(e), upsert=True) for e in rows]
            self._rows.bulk_write(writes)

    def _bound(self, moment: datetime | None) -> int | None:
        """The position at which a range of times begins or ends, if `moment` is given."""
        return None if moment is None else self._first(milliseconds_up(moment))

    def _first(self, moment: datetime) -> int:
        """The first position recorded at `moment` or later."""
        entry = self._rows.find_one(
            {"recordedAt": {"$gte": moment}},
            {"_id": 1},
            sort=[("recordedAt", 1), ("_id", 1)],
        )
        return int(entry["_id"]) if entry else END


def _document(entry: AuditEntry) -> Document:
    return {
        "_id": entry.position,
        "ticketId": entry.ticket_id,
        "version": entry.version,
        "orgId": entry.org_id,
        "system": entry.system,
        "action": entry.action,
        "actor": entry.actor,
        "reason": entry.reason,
        "correlationId": entry.correlation_id,
        "causationId": entry.causation_id,
        "occurredAt": entry.occurred_at,
        "recordedAt": entry.recorded_at,
        "before": _held(entry.before),
        "after": _held(entry.after),
        "granted": list(entry.granted),
        "revoked": list(entry.revoked),
        "hash": bytes.fromhex(entry.hash),
        # for searches: one index for granted and revoked, and text without case
        "changed": [*entry.granted, *entry.revoked],
        "folded": entry.reason and entry.reason.casefold(),
    }


def _held(content: TicketContent | None) -> Document | None:
    if content is None:
        return None
    return {
        "name": content.name,
        "features": list(content.features),
        "retired": content.retired,
    }


def _entry(document: Document) -> AuditEntry:
    try:
        return AuditEntry(
            position=document["_id"],
            ticket_id=document["ticketId"],
            version=document["version"],
            org_id=document["orgId"],
            system=document["system"],
            action=document["action"],
            actor=document["actor"],
            reason=document["reason"],
            correlation_id=document["correlationId"],
            causation_id=document["causationId"],
            occurred_at=document["occurredAt"],
            recorded_at=document["recordedAt"],
            before=_content(document["before"]),
            after=_content(document["after"]),
            granted=tuple(document["granted"]),
            revoked=tuple(document["revoked"]),
            hash=document["hash"].hex(),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise RowUnreadable(AUDIT.name, document["_id"], error) from error


def _content(held: Document | None) -> TicketContent | None:
    if held is None:
        return None
    return TicketContent(held["name"], tuple(held["features"]), held["retired"])
