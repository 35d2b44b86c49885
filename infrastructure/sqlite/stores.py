"""Opening a SQLite store."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.sqlite.audit import SQLiteAudit
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.jobs import SQLiteJobs
from infrastructure.sqlite.journal import SQLiteJournal
from infrastructure.sqlite.leases import SQLiteLeases
from infrastructure.sqlite.legacy_usage import SQLiteLegacyUsage
from infrastructure.sqlite.log import SQLiteLog
from infrastructure.sqlite.notes import SQLiteNotes
from infrastructure.sqlite.steps import take_together
from infrastructure.sqlite.tickets import SQLiteTickets
from infrastructure.sqlite.versions import SQLiteVersions
from infrastructure.sqlite.watch import SQLiteWatcher
from infrastructure.stores import ReadOnlyStores, Stores
from projections.audit.projection import AUDIT
from projections.tickets.projection import TICKETS


@contextmanager
def open_sqlite(store: SQLiteStore) -> Iterator[Stores]:
    """The store in the file, created if need be. Raises `StoreTooNew`, `StoreTooOld`,
    `ConfigurationError`."""
    database = SQLiteDatabase(store.path)
    try:
        yield Stores(
            log=SQLiteLog(database),
            tickets=SQLiteVersions(database, TICKETS.name, SQLiteTickets),
            audit=SQLiteVersions(database, AUDIT.name, SQLiteAudit),
            journal=SQLiteJournal(database),
            jobs=SQLiteJobs(database),
            leases=SQLiteLeases(database),
            take_steps=partial(take_together, database),
            watcher=SQLiteWatcher(database),
            legacy_usage=SQLiteLegacyUsage(database),
            notes=SQLiteNotes(database),
            clock=None,
        )
    finally:
        database.close()


@contextmanager
def open_sqlite_to_read(store: SQLiteStore) -> Iterator[ReadOnlyStores | None]:
    """The store, for reading only; None if there is none yet."""
    if not store.path.exists() or not store.path.stat().st_size:
        yield None
        return
    with closing(SQLiteDatabase(store.path, reading_only=True)) as database:
        yield ReadOnlyStores(SQLiteLog(database), SQLiteNotes(database, reading_only=True))
