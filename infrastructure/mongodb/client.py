"""Connections to MongoDB, with the guarantees that the stores rely on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

from domain import errors

Document = dict[str, Any]

DURABLE: Final = WriteConcern("majority", j=True, wtimeout=10_000)
"""An acknowledged write is in the journals of a majority: no failover loses it."""

SETTLED: Final = ReadConcern("majority")
"""Reads see only writes that cannot roll back."""

_TIMEZONE_AWARE: Final = CodecOptions[Document](tz_aware=True, uuid_representation=4)

CONNECT_SECONDS: Final = 5.0
"""Seconds in which a server must be found and reached."""

SOCKET_SECONDS: Final = 30.0
"""Seconds that a connection waits for an answer, where nothing else bounds that."""

UNREACHABLE: Final = (ConnectionFailure, ExecutionTimeout, NetworkTimeout, WTimeoutError)
"""The server did not answer; the same request may succeed in a moment."""

_DUPLICATE_KEY: Final = 11000
"""The server's error code for a refused unique key."""

_TRANSIENT_CODES: Final = frozenset(
    {
        50,  # MaxTimeMSExpired, while waiting for a majority
        6,  # HostUnreachable
        7,  # HostNotFound
        43,  # CursorNotFound: its server, or a pause of ten minutes, ended it half way
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        239,  # SnapshotTooOld
        246,  # SnapshotUnavailable, while a collection or an index is being made
        262,  # ExceededTimeLimit
        9001,  # SocketException
        10058,  # NotPrimaryError of older servers
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)


def connect(uri: str, *, at_once: bool = True) -> MongoClient[Document]:
    """A client for `uri`. It connects at once, or else at its first use."""
    try:
        return MongoClient(
            uri,
            appname="ticketbook",
            serverSelectionTimeoutMS=CONNECT_SECONDS * 1_000,
            connectTimeoutMS=CONNECT_SECONDS * 1_000,
            socketTimeoutMS=SOCKET_SECONDS * 1_000,
            retryWrites=True,
            connect=at_once,
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise errors.ConfigurationError(f"The MongoDB address is not usable: {error}") from error


def database(client: MongoClient[Document], name: str) -> Database[Document]:
    """A database whose writes are durable and whose reads are settled."""
    return client.get_database(
        name,
        codec_options=_TIMEZONE_AWARE,
        read_preference=ReadPreference.PRIMARY,
        write_concern=DURABLE,
        read_concern=SETTLED,
    )


def is_transient(error: PyMongoError) -> bool:
    """True if the same operation may succeed once the replica set has a primary again."""
    if isinstance(error, UNREACHABLE):
        return True
    if isinstance(error, OperationFailure):
        return (
            error.code in _TRANSIENT_CODES
            or error.has_error_label("TransientTransactionError")
            or error.has_error_label("RetryableWriteError")
            or error.has_error_label("UnknownTransactionCommitResult")
        )
    return False


def briefly(error: PyMongoError) -> str:
    """The driver's message, without its settings and its list of servers."""
    return re.split(r" \(configured timeouts|, Timeout: |, Topology Description", str(error))[0]


def is_duplicate(error: PyMongoError) -> bool:
    """True if a unique index refused the write."""
    if isinstance(error, BulkWriteError):
        return any(e["code"] == _DUPLICATE_KEY for e in error.details["writeErrors"])
    # inside a transaction the server may report it as a failed command
    return isinstance(error, OperationFailure) and error.code == _DUPLICATE_KEY


@contextmanager
def answering() -> Iterator[None]:
    """Raise `StoreUnavailable` for errors of a replica set that does not answer."""
    try:
        yield
    except PyMongoError as error:
        if is_transient(error):
            raise errors.StoreUnavailable(
                f"MongoDB does not answer: {briefly(error)}. Check that the replica set has a "
                "primary."
            ) from error
        raise
