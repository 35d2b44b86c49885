"""MongoDB's errors as ours, with advice for the operator: one table for all commands."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from domain.errors import StoreCorrupt, StoreRefused, StoreUnavailable
from infrastructure.mongodb.refused import missing_privilege, reason_of

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

_WRONG_CODES: Final = frozenset(
    {
        2,  # BadValue
        4,  # NoSuchKey
        9,  # FailedToParse
        14,  # TypeMismatch
        17,  # ProtocolError
        40,  # ConflictingUpdateOperators
        51,  # CannotBackfillArray
        52,  # DollarPrefixedFieldName
        72,  # InvalidOptions
    }
)
"""The command is wrong, not the server: a fault of this program, which stays what it is."""

_ROLES: Final = "docs/operators.md lists the roles that each user needs"

_ADVICE: Final[dict[int, str]] = {
    8: f"Check the user in the address, and its roles: {_ROLES}.",  # UnknownError of proxies
    11: "There is no such user: check its name, and authSource in the address.",
    13: f"Grant the user in the address what it lacks: {_ROLES}.",
    18: "Check the name and the password in the address, and authSource.",
    20: "Start the server as a replica set; one of a single member is enough.",
    31: f"A role of the user is gone: {_ROLES}.",
    59: "The server is too old, or no MongoDB: version 6.0 is the least.",
    64: "Check that a majority of the replica set is up.",
    79: "Check that the replica set knows this write concern.",
    96: "The server says why in its log.",
    100: "The replica set has too few members for durable writes: check its configuration.",
    115: "The server does not have this: version 6.0 of a replica set is the least.",
    121: "Remove the validator of the collection: only this service writes into it.",
    8000: "The provider of the server refuses it: check the user, its roles and the plan's limits.",
    14031: "The server's disk is full: give it room.",
}
"""What to grant or to change, by the server's code."""

_PASSED_ON: Final = 200
"""Most characters of a server's message that are passed on."""


class Conflicting(StoreCorrupt):
    """A unique index refused a write that nothing of ours can have made before."""


def is_transient(error: PyMongoError) -> bool:
    """True if the same operation may succeed once the replica set has a primary again."""
    if isinstance(error, UNREACHABLE):
        return True
    if isinstance(error, OperationFailure):
        return (
            _code(error) in _TRANSIENT_CODES
            or error.has_error_label("TransientTransactionError")
            or error.has_error_label("RetryableWriteError")
            or error.has_error_label("UnknownTransactionCommitResult")
        )
    return False


def is_duplicate(error: PyMongoError) -> bool:
    """True if a unique index refused the write; of a bulk write, all that was refused of it."""
    if isinstance(error, BulkWriteError):
        errors = error.details.get("writeErrors") or [{}]
        return all(each.get("code") == _DUPLICATE_KEY for each in errors)
    # inside a transaction the server may report it as a failed command
    return isinstance(error, OperationFailure) and error.code == _DUPLICATE_KEY


def briefly(error: PyMongoError) -> str:
    """The driver's message, without its settings and its list of servers."""
    return re.split(r" \(configured timeouts|, Timeout: |, Topology Description", str(error))[0]


def explained(error: PyMongoError) -> Exception:
    """Our error for one of the driver's; the very same one for a wrong command."""
    if is_transient(error):
        return StoreUnavailable(
            f"MongoDB does not answer: {briefly(error)}. Check that the replica set has a primary."
        )
    if isinstance(error, InvalidOperation):
        return StoreUnavailable("The connection to MongoDB is closed: the service is ending.")
    if isinstance(error, ConfigurationError):
        return StoreRefused(f"MongoDB cannot be used so: {briefly(error)}. Check its address.")
    if is_duplicate(error):
        return Conflicting(
            "MongoDB refused a document that is there already. Something else may have written "
            "into the store's collections: run ticketbook projections verify."
        )
    code = _code(error)
    if not isinstance(error, OperationFailure) or code in _WRONG_CODES:
        return error
    advice = _ADVICE.get(code or 0, "The server's log says more; check its configuration.")
    if privilege := missing_privilege(error):
        advice = f"Grant the user in the address {privilege}: {_ROLES}."
    return StoreRefused(f"MongoDB refuses: {_said(error)} (code {code}). {advice}")


@contextmanager
def answering() -> Iterator[None]:
    """Raise our errors in place of the driver's: `StoreUnavailable` where the server does not
    answer, `StoreRefused` where it says no."""
    try:
        yield
    except PyMongoError as error:
        ours = explained(error)
        if ours is error:
            raise
        raise ours from error
    except BSONError as error:
        raise StoreCorrupt(
            f"A document of the store cannot be read: {error}. Something else may have written "
            "it: run ticketbook projections verify."
        ) from error


def _code(error: PyMongoError) -> int | None:
    """The server's code; of a bulk write, that of its first failure but for duplicates."""
    if isinstance(error, BulkWriteError):
        failures = [
            *(error.details.get("writeErrors") or ()),
            *(error.details.get("writeConcernErrors") or ()),
        ]
        codes = [failure.get("code") for failure in failures]
        return next((code for code in codes if code != _DUPLICATE_KEY), error.code)
    return error.code if isinstance(error, OperationFailure) else None


def _said(error: OperationFailure) -> str:
    """The server's words up to where it quotes the command, which may hold anything."""
    words, _, command = reason_of(error).partition("{")
    named = re.match(r"\s*(\w+):", command)
    about = f"{words.strip()} {named[1]}" if named else words.strip()
    return about[:_PASSED_ON]
