"""The `audit` view on MongoDB: one document per event, its position as `_id`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import IndexModel, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from domain.errors import StoreCorrupt
from infrastructure.mongodb.client import Document, answering, is_duplicate
from infrastructure.mongodb.views import MongoDBView
from projections.audit import AUDIT, AuditEntry, AuditFilter, Content
from projections.projection import Key

_END: Final = 2**63 - 1
"""Past every position."""

_KEYS: Final = (
    # The organisation last, as for tickets: a filtered page comes in position order with one
    # organisation, and without one from whichever of the filter and the order is the shorter way.
    [("orgId", 1), ("_id", 1)],
    [("ticketId", 1), ("_id", -1)],
    [("actor", 1), ("orgId", 1), ("_id", 1)],
    [("action", 1), ("orgId", 1), ("_id", 1)],
    [("system", 1), ("orgId", 1), ("_id", 1)],
    [("changed", 1), ("orgId", 1), ("_id", 1)],
    [("correlationId", 1), ("orgId", 1), ("_id", 1)],
    [("recordedAt", 1), ("_id", 1)],
)


class MongoDBAudit(MongoDBView[AuditEntry]):
    """A `View` and its `AuditReader`."""

    indexes = tuple(IndexModel(keys) for keys in _KEYS)

    def __init__(self, database: Database[Document], version: int) -> None:
        super().__init__(database, AUDIT.name, version)

    def search(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> Sequence[AuditEntry]:
        if limit <= 0:
            return []
        beyond_it = "$lt" if newest_first else "$gt"
        with answering():
            positions = [
                (beyond_it, beyond),
                ("$gte", self._first(where.since)),
                ("$lt", self._first(where.before)),
            ]
            bounds = [{"_id": {test: value}} for test, value in positions if value is not None]
            found = self._rows.find({"$and": [_match(where), *bounds]})
            found.sort("_id", -1 if newest_first else 1).limit(limit)
            return [_entry(document) for document in found]

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, AuditEntry]:
        # Sorted like the index, $first jumps from ticket to ticket instead of reading histories.
        last_of_each: list[Document] = [
            {"$match": {"ticketId": {"$in": list(ticket_ids)}}},
            {"$sort": {"ticketId": 1, "_id": -1}},
            {"$group": {"_id": "$ticketId", "last": {"$first": "$$ROOT"}}},
        ]
        with answering():
            found = self._rows.aggregate(last_of_each) if ticket_ids else ()
            return {group["_id"]: _entry(group["last"]) for group in found}

    def _id(self, key: Key) -> Any:
        return key

    def _readable(self, document: Document) -> tuple[Key, AuditEntry | None]:
        try:
            return document["_id"], _entry(document)
        except StoreCorrupt:
            return document["_id"], None

    def _write(
        self, rows: Sequence[tuple[str, AuditEntry | None]], session: ClientSession, *, over: bool
    ) -> None:
        documents = [_document(entry) for _, entry in rows if entry is not None]
        if documents and over:
            writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents]
            self._rows.bulk_write(writes, ordered=False, session=session)
        elif documents:
            self._rows.insert_many(documents, ordered=False, session=session)

    def _load(self, rows: Sequence[AuditEntry]) -> None:
        # in order, and an entry that is there already is there for good: what an interruption
        # leaves is the beginning
        try:
            self._rows.insert_many([_document(entry) for entry in rows])
        except PyMongoError as error:
            if not is_duplicate(error):
                raise
            writes = [ReplaceOne({"_id": e.position}, _document(e), upsert=True) for e in rows]
            self._rows.bulk_write(writes)

    def _first(self, moment: datetime | None) -> int | None:
        """The first position recorded at `moment` or later. Times grow with positions, so a range
        of times is a range of positions, and needs no index together with each other filter."""
        if moment is None:
            return None
        found = self._rows.find_one(
            {"recordedAt": {"$gte": moment}}, {"_id": 1}, sort=[("recordedAt", 1), ("_id", 1)]
        )
        return int(found["_id"]) if found else _END


def _match(where: AuditFilter) -> Document:
    match = {
        "orgId": where.org_id,
        "system": where.system,
        "ticketId": where.ticket_id,
        "actor": where.actor,
        "action": where.action,
        "changed": where.feature,
        "correlationId": where.correlation_id,
    }
    return {field: value for field, value in match.items() if value is not None}


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
        "changed": [*entry.granted, *entry.revoked],  # so that one index finds either
    }


def _held(content: Content | None) -> Document | None:
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
        raise StoreCorrupt(
            f"The audit entry at position {document['_id']} was changed by something else "
            f"(missing or unusable: {error}). Rebuild the projection audit."
        ) from error


def _content(held: Document | None) -> Content | None:
    if held is None:
        return None
    return Content(held["name"], tuple(held["features"]), held["retired"])
