"""Raising the errors of `eventsourcing` in place of ours and MongoDB's."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from eventsourcing.persistence import DatabaseError, DataError, IntegrityError, OperationalError
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, PyMongoError

from domain.errors import EventTooLarge, Overloaded, StoreUnavailable, VersionConflict
from infrastructure.log.ordered_log import StreamTaken
from infrastructure.mongodb.failures import Conflicting, answering


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raise `IntegrityError` for a conflict, `OperationalError` when MongoDB does not answer (the
    operation may or may not have happened), `DataError` for values that MongoDB cannot store."""
    try:
        with answering():
            yield
    except (VersionConflict, StreamTaken, Conflicting, DuplicateKeyError, BulkWriteError) as error:
        raise IntegrityError(str(error)) from error
    except (StoreUnavailable, Overloaded) as error:
        raise OperationalError(str(error)) from error
    except (BSONError, DocumentTooLarge, EventTooLarge, OverflowError) as error:
        raise DataError(str(error)) from error
    except PyMongoError as error:
        raise DatabaseError(str(error)) from error
