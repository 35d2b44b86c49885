"""Opening a MongoDB store."""

from collections.abc import Iterator
from contextlib import contextmanager

from infrastructure.configuration.addresses import MongoDBStore
from infrastructure.mongodb.audit import MongoDBAudit
from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.clock import MongoDBClock
from infrastructure.mongodb.jobs import MongoDBJobs
from infrastructure.mongodb.journal import MongoDBJournal
from infrastructure.mongodb.leases import MongoDBLeases
from infrastructure.mongodb.legacy_usage import MongoDBLegacyUsage
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.mongodb.notes import MongoDBNotes
from infrastructure.mongodb.schema import check_schema, has_schema
from infrastructure.mongodb.tickets import MONGOOSE_SHAPE, MongoDBTickets
from infrastructure.mongodb.versions import MongoDBVersions
from infrastructure.mongodb.watch import MongoDBWatcher
from infrastructure.stores import ReadOnlyStores, Stores
from projections.audit.projection import AUDIT
from projections.tickets.projection import TICKETS


@contextmanager
def open_mongodb(store: MongoDBStore) -> Iterator[Stores]:
    """The store in a replica set's database. Raises `StoreTooNew`, `StoreTooOld`,
    `StoreUnavailable`."""
    client = connect(store.uri)
    try:
        opened = database(client, store.database)
        check_schema(opened)
        yield Stores(
            log=MongoDBLog(opened),
            tickets=MongoDBVersions(opened, TICKETS.name, MongoDBTickets, MONGOOSE_SHAPE),
            audit=MongoDBVersions(opened, AUDIT.name, MongoDBAudit),
            journal=MongoDBJournal(opened),
            jobs=MongoDBJobs(opened),
            leases=MongoDBLeases(opened),
            take_steps=None,
            watcher=MongoDBWatcher(opened),
            legacy_usage=MongoDBLegacyUsage(opened),
            notes=MongoDBNotes(opened),
            clock=MongoDBClock(opened),
        )
    finally:
        client.close()


@contextmanager
def open_mongodb_to_read(store: MongoDBStore) -> Iterator[ReadOnlyStores | None]:
    """The store, for reading only; None if there is none yet."""
    with connect(store.uri) as client:
        opened = database(client, store.database)
        exists = has_schema(opened)
        yield (
            ReadOnlyStores(MongoDBLog(opened, reading_only=True), MongoDBNotes(opened))
            if exists
            else None
        )
