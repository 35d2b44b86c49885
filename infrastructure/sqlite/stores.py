"""Opening a SQLite store."""

from collections.abc import Iterator
from contextlib import contextmanager

from infrastructure.addresses import SQLiteStore
from infrastructure.sqlite.audit import SQLiteAudit
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.leases import SQLiteLeases
from infrastructure.sqlite.log import SQLiteLog
from infrastructure.sqlite.tickets import SQLiteTickets
from infrastructure.sqlite.watch import SQLiteWatcher
from infrastructure.stores import Stores


@contextmanager
def open_sqlite(store: SQLiteStore) -> Iterator[Stores]:
    """The store in the file, created if need be. Raises `StoreTooNew`, `ConfigurationError`."""
    database = SQLiteDatabase(store.path)
    try:
        yield Stores(
            log=SQLiteLog(database),
            tickets=SQLiteTickets(database),
            audit=SQLiteAudit(database),
            leases=SQLiteLeases(database),
            watcher=SQLiteWatcher(database),
        )
    finally:
        database.close()
