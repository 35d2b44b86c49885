"""The composition root: settings become one frozen `Service`, used alike by HTTP, the command
line and tests. Only this module chooses concrete classes."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, Final, cast
from uuid import uuid4

import structlog

from api.use_cases.jobs import JobRunner
from domain.log.ports import Clock
from infrastructure.configuration.addresses import MongoDBStore, SQLiteStore
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.settings import Settings, SharedSecret
from infrastructure.journal.writer import JournalWriter
from infrastructure.keys.credentials import Tokens, secret_tokens
from infrastructure.keys.issuer_keys import issuer_tokens
from infrastructure.keys.secret_file import auth_of
from infrastructure.legacy_access.tokens import LegacyTokens
from infrastructure.legacy_access.usage import UsageCounter
from infrastructure.legacy_access.users import LegacyUsers, open_users
from infrastructure.legacy_usage import LegacyUsage
from infrastructure.log.group_commit import BATCH
from infrastructure.log.ticket_log import TAIL, TicketLog
from infrastructure.log.writer import REMEMBERED, Writer
from infrastructure.mongodb.stores import open_mongodb, open_mongodb_to_read
from infrastructure.sqlite.stores import open_sqlite, open_sqlite_to_read
from infrastructure.stores import AuditView, Notes, Stores
from projections.audit.projection import AUDIT
from projections.running.progress import Progress
from projections.running.projection import Projection
from projections.tickets.projection import TICKETS
from projections.tickets.search import TicketReader
from projections.versions.followed import LiveProjection
from projections.versions.registry import Versions

_PAUSE: Final = 0.2
"""Seconds before listening again after a failure."""

_MUCH: Final = 2_000
"""Commands of an operator write that much at once, and remember no more of it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Legacy:
    """What it takes to answer the old system's callers."""

    tokens: LegacyTokens
    users: LegacyUsers
    counter: UsageCounter


@dataclass(frozen=True, slots=True)
class Service:
    """Everything a way in needs. `legacy` is None where the old system's callers are not
    answered; `legacy_usage` tells of them anyway."""

    settings: Settings
    catalogue: CatalogueFile
    tokens: Tokens
    log: TicketLog
    writer: Writer
    journal: JournalWriter
    head: Progress
    projections: Mapping[str, LiveProjection[Any]]
    operator: JobRunner
    legacy: Legacy | None
    legacy_usage: LegacyUsage
    notes: Notes
    clock: Clock

    @property
    def tickets(self) -> TicketReader:
        """The live version of the tickets."""
        return cast(TicketReader, self.projections[TICKETS.name].live_version.view)

    @property
    def audit(self) -> AuditView:
        """The live version of the audit log."""
        return cast(AuditView, self.projections[AUDIT.name].live_version.view)


@dataclass(frozen=True, slots=True)
class History:
    """What a command needs that only reads."""

    log: TicketLog
    notes: Notes


def now() -> datetime:
    """The clock of a running service."""
    return datetime.now(UTC)


def holder() -> str:
    """A name for this process, or for one operation in it, that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


@contextmanager
def open_service(
    settings: Settings,
    *,
    clock: Clock = now,
    run_projections: bool = True,
    watch: bool = True,
) -> Iterator[Service]:
    """Open the store, start what runs in the background, and close it all in order.

    With `run_projections=False` views are read but not kept current: for operators' commands; with
    `watch=False` also nothing is heard of what other processes do: how far the views are is only
    known as of now.
    Raises `ConfigurationError`, `StoreUnavailable`, `StoreTooNew`, `StoreTooOld`.
    """
    with ExitStack() as stack:
        catalogue = CatalogueFile(settings.catalogue, time.monotonic)
        tokens = _tokens(settings, clock)
        stores = stack.enter_context(open_stores(settings))
        log = TicketLog(stores.log, TAIL if run_projections else 0)
        head = Progress(stores.log.head())
        writer = Writer(
            log,
            catalogue.current,
            clock,
            lambda events: head.advance(events[-1].position),
            REMEMBERED if run_projections else _MUCH,
            BATCH if run_projections else _MUCH,
        )
        stack.callback(writer.close)
        journal = JournalWriter(stores.journal)
        stack.callback(journal.close)
        projections: dict[str, LiveProjection[Any]] = {}
        for projection, versions in projection_kinds(stores).values():
            live = LiveProjection(
                projection, versions, log, stores.leases, clock, head, holder, run=run_projections
            )
            stack.callback(live.close)
            projections[projection.name] = live
        operator = JobRunner(stores.operations, stores.leases, clock)
        stack.callback(operator.close)
        if watch:
            _watch(stores, log, head, projections, stack)
        yield Service(
            settings,
            catalogue,
            tokens,
            log,
            writer,
            journal,
            head,
            projections,
            operator,
            _legacy(settings, stores, clock, stack),
            stores.legacy_usage,
            stores.notes,
            clock,
        )


def projection_kinds(stores: Stores) -> Mapping[str, tuple[Projection[Any], Versions[Any]]]:
    """Every projection by name, with the versions of its view."""
    return {
        TICKETS.name: (TICKETS, stores.tickets),
        AUDIT.name: (AUDIT, stores.audit),
    }


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    match settings.store:
        case SQLiteStore():
            with open_sqlite(settings.store) as stores:
                yield stores
        case MongoDBStore():
            with open_mongodb(settings.store) as stores:
                yield stores


@contextmanager
def open_history(settings: Settings) -> Iterator[History | None]:
    """What there is, for reading alone: None where there is no store yet. Nothing is made or
    changed. Raises like `open_service`."""
    with ExitStack() as stack:
        match settings.store:
            case SQLiteStore():
                kept = stack.enter_context(open_sqlite_to_read(settings.store))
            case MongoDBStore():
                kept = stack.enter_context(open_mongodb_to_read(settings.store))
        yield History(TicketLog(kept.log, tail=0), kept.notes) if kept else None


def _tokens(settings: Settings, clock: Clock) -> Tokens:
    auth = auth_of(settings)
    if isinstance(auth, SharedSecret):
        return secret_tokens(auth.value, clock)
    return issuer_tokens(auth.issuer, auth.audience, clock, time.monotonic)


def _legacy(settings: Settings, stores: Stores, clock: Clock, stack: ExitStack) -> Legacy | None:
    if settings.legacy_jwt_secret is None or settings.legacy_users is None:
        return None
    users = stack.enter_context(open_users(settings.legacy_users))
    counter = UsageCounter(stores.legacy_usage, clock)
    stack.callback(counter.close)
    return Legacy(LegacyTokens(settings.legacy_jwt_secret, clock), users, counter)


def _watch(
    stores: Stores,
    log: TicketLog,
    head: Progress,
    projections: Mapping[str, LiveProjection[Any]],
    stack: ExitStack,
) -> None:
    """Learn of what other processes do: their commits, and the views they keep current."""
    stop = Event()

    def look() -> None:
        for _ in stores.watcher.changes(stop):
            head.advance(log.head())
            for projection in projections.values():
                projection.look()

    def watch() -> None:
        while not stop.is_set():
            try:
                look()
            except Exception as error:  # deaf, this process would serve on and never catch up
                _log.warning("watch.failed", problem=str(error))
                stop.wait(_PAUSE)

    thread = Thread(target=watch, name="watcher", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(stop.set)
