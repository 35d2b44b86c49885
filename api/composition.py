"""The composition root: settings become one frozen `Service`, used alike by HTTP, the command
line and tests. Only this module chooses concrete classes, and loads those alone that it chooses."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from api.use_cases.jobs import JobRunner
from api.use_cases.service import Legacy, Service
from api.use_cases.workers import Workers
from domain.log.ports import Clock
from infrastructure.clock import now
from infrastructure.configuration.addresses import MongoDBStore, SQLiteStore
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.settings import Settings, SharedSecret
from infrastructure.ids import holder
from infrastructure.ids import new_id as random_id
from infrastructure.journal.writer import JournalWriter
from infrastructure.keys.credentials import Tokens, no_tokens, secret_tokens
from infrastructure.keys.secret_file import auth_of
from infrastructure.log.group_commit import BATCH
from infrastructure.log.ticket_log import TAIL, TicketLog
from infrastructure.log.times import LogTimes
from infrastructure.log.writer import REMEMBERED, Writer
from infrastructure.stores import AuditView, Notes, Stores, TicketsView
from projections.audit.projection import AUDIT
from projections.running.progress import Progress
from projections.running.runners import Runners
from projections.tickets.projection import TICKETS
from projections.versions.followed import LiveProjection

_MUCH: Final = 2_000
"""Commands of an operator write that much at once, and remember no more of it."""


@dataclass(frozen=True, slots=True)
class History:
    """The parts of a store and the settings that a command needs which only reads."""

    log: TicketLog
    notes: Notes


@contextmanager
def open_service(
    settings: Settings,
    *,
    clock: Clock = now,
    new_id: Callable[[], str] = random_id,
    run_projections: bool = True,
    watch: bool = True,
    callers: bool = True,
) -> Iterator[Service]:
    """Open the store, start what runs in the background, and close it all in order.

    With `run_projections=False` views are read but not kept current: for operators' commands; with
    `watch=False` also nothing is heard of what other processes do: how far the views are is only
    known as of now. With `callers=False` no token is good, so that no setting about callers is
    needed.
    Raises `ConfigurationError`, `StoreUnavailable`, `StoreTooNew`, `StoreTooOld`.
    """
    with ExitStack() as stack:
        catalogue = CatalogueFile(settings.catalogue, time.monotonic)
        tokens = tokens_of(settings, clock) if callers else no_tokens(clock)
        stores = stack.enter_context(open_stores(settings))
        log = TicketLog(stores.log, TAIL if run_projections else 0)
        head = Progress(stores.log.head())
        times = LogTimes(stores.notes, clock, stores.clock, log.last_recorded)
        writer = Writer(
            log,
            catalogue.current,
            clock,
            lambda events: head.advance(events[-1].position),
            REMEMBERED if run_projections else _MUCH,
            BATCH if run_projections else _MUCH,
            check=times.check_commit,
        )
        stack.callback(writer.close)
        journal = JournalWriter(stores.journal)
        stack.callback(journal.close)
        runners = Runners(head, stores.take_steps) if run_projections else None
        live = partial(
            LiveProjection,
            log=log,
            leases=stores.leases,
            clock=clock,
            holder=holder,
            runners=runners,
        )
        tickets: LiveProjection[TicketsView] = live(TICKETS, stores.tickets)
        stack.callback(tickets.close)
        audit: LiveProjection[AuditView] = live(AUDIT, stores.audit)
        stack.callback(audit.close)
        jobs = JobRunner(stores.jobs, stores.leases, clock, new_id)
        stack.callback(jobs.close)
        service = Service(
            settings=settings,
            catalogue=catalogue,
            tokens=tokens,
            log=log,
            writer=writer,
            journal=journal,
            head=head,
            times=times,
            tickets=tickets,
            audit=audit,
            jobs=jobs,
            workers=Workers(settings, open_stores, log.head),
            legacy=_legacy(settings, stores, clock, stack) if callers else None,
            legacy_usage=stores.legacy_usage,
            notes=stores.notes,
            clock=clock,
            new_id=new_id,
        )
        if watch:
            from api.use_cases.watching import watch as watch_store

            stack.enter_context(watch_store(stores.watcher, service))
        yield service


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The store that the settings name. Only its own modules are loaded, and nothing of what a
    service has beside it: a process that builds a view opens one too."""
    match settings.store:
        case SQLiteStore():
            from infrastructure.sqlite.stores import open_sqlite

            with open_sqlite(settings.store) as stores:
                yield stores
        case MongoDBStore():
            from infrastructure.mongodb.stores import open_mongodb

            with open_mongodb(settings.store) as stores:
                yield stores


@contextmanager
def open_history(settings: Settings) -> Iterator[History | None]:
    """The store for reading alone; None where there is no store yet. Nothing is made or
    changed. Raises like `open_service`."""
    with ExitStack() as stack:
        match settings.store:
            case SQLiteStore():
                from infrastructure.sqlite.stores import open_sqlite_to_read

                stores = stack.enter_context(open_sqlite_to_read(settings.store))
            case MongoDBStore():
                from infrastructure.mongodb.stores import open_mongodb_to_read

                stores = stack.enter_context(open_mongodb_to_read(settings.store))
        yield History(TicketLog(stores.log, tail=0), stores.notes) if stores else None


def tokens_of(settings: Settings, clock: Clock) -> Tokens:
    """The check of callers' tokens. Raises `ConfigurationError` where nothing says how."""
    auth = auth_of(settings)
    if isinstance(auth, SharedSecret):
        return secret_tokens(auth.value, clock)
    from infrastructure.keys.claims import ClaimNames
    from infrastructure.keys.issuer_keys import issuer_tokens

    names = ClaimNames(auth.org_claim, auth.scope_claims)
    return issuer_tokens(auth.issuer, auth.audience, clock, time.monotonic, names)


def _legacy(settings: Settings, stores: Stores, clock: Clock, stack: ExitStack) -> Legacy | None:
    if settings.legacy_jwt_secret is None or settings.legacy_users is None:
        return None
    from infrastructure.legacy_access.tokens import LegacyTokens
    from infrastructure.legacy_access.usage import UsageCounter
    from infrastructure.legacy_access.users import open_users

    users = stack.enter_context(open_users(settings.legacy_users))
    counter = UsageCounter(stores.legacy_usage, clock)
    stack.callback(counter.close)
    return Legacy(LegacyTokens(settings.legacy_jwt_secret, clock), users, counter)
