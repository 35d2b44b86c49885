"""Rows for the tests of the views, and two openings of one store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pymongo.database import Database

from domain.ticket.state import Ticket
from infrastructure.configuration.addresses import SQLiteStore, parse_store
from infrastructure.journal.entries import Journal
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.mongodb.audit import MongoDBAudit
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.stores import open_mongodb
from infrastructure.mongodb.tickets import MONGOOSE_SHAPE, MongoDBTickets
from infrastructure.mongodb.versions import MongoDBVersions
from infrastructure.mongodb.views import MongoDBView
from infrastructure.sqlite.stores import open_sqlite
from infrastructure.stores import AuditView, Stores, TicketsView, Watcher
from projections.audit.projection import AuditEntry, TicketContent
from projections.running.projection import Leases, Row, View, ViewChange
from projections.versions.registry import Versions

V = TypeVar("V", bound=View[Any])
M = TypeVar("M", bound=MongoDBView[Any])

ACME: Final = "65da4715b8cd3a97f11ae651"
GLOBEX: Final = "672c75e7d1f9053904652509"
START: Final = datetime(2024, 8, 23, 3, 52, 50, 891000, tzinfo=UTC)


@dataclass(frozen=True)
class Opened:
    """An open store, and the live version of each of its views."""

    stores: Stores
    tickets: TicketsView
    audit: AuditView

    @property
    def log(self) -> OrderedLog:
        return self.stores.log

    @property
    def watcher(self) -> Watcher:
        return self.stores.watcher

    @property
    def journal(self) -> Journal:
        return self.stores.journal

    @property
    def leases(self) -> Leases:
        return self.stores.leases


@contextmanager
def open_store(url: str) -> Iterator[Opened]:
    store = parse_store("TICKETBOOK_STORE", url)
    with open_sqlite(store) if isinstance(store, SQLiteStore) else open_mongodb(store) as stores:
        yield Opened(stores, live(stores.tickets), live(stores.audit))


def live(versions: Versions[V]) -> V:
    return versions.view(versions.registry().live)


def mongodb_view(versions: MongoDBVersions[M]) -> M:
    """The live version, published."""
    versions.publish()
    return versions.view(versions.registry().live)


def mongodb_tickets(opened: Database[Document]) -> MongoDBTickets:
    return mongodb_view(MongoDBVersions(opened, "tickets", MongoDBTickets, MONGOOSE_SHAPE))


def mongodb_audit(opened: Database[Document]) -> MongoDBAudit:
    return mongodb_view(MongoDBVersions(opened, "audit", MongoDBAudit))


def id_(number: int) -> str:
    return f"{number:024x}"


_TICKET: Final = Ticket(
    id=id_(1),
    org_id=ACME,
    system="workforce_2",
    name="Foreman",
    features=("get_all", "create_worker"),
    created_at=START,
    updated_at=START + timedelta(days=1),
    retired=False,
    revision=0,
    version=1,
    position=1,
)


def ticket(number: int, **other: Any) -> Ticket:
    fields: dict[str, Any] = {"id": id_(number), "position": number}
    return replace(_TICKET, **fields | other)


_ENTRY: Final = AuditEntry(
    position=1,
    ticket_id=id_(1),
    version=1,
    org_id=ACME,
    system="workforce_2",
    action="ticket.created",
    actor="ada",
    reason=None,
    correlation_id="request-1",
    causation_id=None,
    occurred_at=START,
    recorded_at=START,
    before=None,
    after=TicketContent("Foreman", ("get_all",), retired=False),
    granted=("get_all",),
    revoked=(),
    hash="5a" * 32,
)


def entry(position: int, **other: Any) -> AuditEntry:
    """The entry of a minute later per position."""
    moment = START + timedelta(minutes=position)
    fields: dict[str, Any] = {"position": position, "recorded_at": moment}
    return replace(_ENTRY, **fields | other)


def step(after: int, upto: int, *rows: Ticket) -> ViewChange[Ticket]:
    return ViewChange(after, upto, [(row.id, row) for row in rows])


def entries(after: int, rows: Sequence[AuditEntry]) -> ViewChange[AuditEntry]:
    return ViewChange(after, rows[-1].position, [(row.ticket_id, row) for row in rows])


def gone(after: int, upto: int, *ticket_ids: str) -> ViewChange[Row]:
    return ViewChange(after, upto, [(ticket_id, None) for ticket_id in ticket_ids])
