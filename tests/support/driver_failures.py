"""The errors that `sqlite3` and `pymongo` raise, class by class, as a database would cause them."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pymongo import helpers_shared
from pymongo.errors import AutoReconnect, NetworkTimeout

Place = Literal["call", "write", "report", "row"]
"""Where an error may arise: in any call, in those that write, in those whose reply reports on each
write, or while rows are read."""

Strike = Callable[[Mapping[str, Any]], Any]
"""Raises the error, or makes a reply that holds it, in place of a call."""

_RETRYABLE: Final = frozenset({91, 189, 10107, 11600, 11602})
"""Codes that the server labels as worth another try, where the command may be repeated."""

_MAX_WIRE: Final = 21


@dataclass(frozen=True)
class Failure:
    """One class of error. A daily test tries those that are `daily`: the others differ from one of
    them in nothing but a number."""

    name: str
    place: Place
    strike: Strike
    daily: bool = True

    def __str__(self) -> str:
        return self.name


def _raising(make: Callable[[], BaseException]) -> Strike:
    def strike(_: Mapping[str, Any]) -> Any:
        raise make()

    return strike


def _sqlite(
    name: str,
    kind: type[sqlite3.Error],
    code: int,
    text: str,
    place: Place = "call",
    daily: bool = True,
) -> Failure:
    def make() -> BaseException:
        error = kind(text)
        error.sqlite_errorcode = code
        return error

    return Failure(name, place, _raising(make), daily)


def _undecodable() -> BaseException:
    return sqlite3.OperationalError("Could not decode to UTF-8 column 'name' with text '\\xff'")


SQLITE: Final = (
    _sqlite("locked", sqlite3.OperationalError, sqlite3.SQLITE_BUSY, "database is locked"),
    _sqlite("disk error", sqlite3.OperationalError, sqlite3.SQLITE_IOERR, "disk I/O error"),
    _sqlite(
        "disk full", sqlite3.OperationalError, sqlite3.SQLITE_FULL, "database or disk is full",
        "write", daily=False,
    ),
    _sqlite(
        "read-only", sqlite3.OperationalError, sqlite3.SQLITE_READONLY,
        "attempt to write a readonly database", "write",
    ),
    _sqlite(
        "cannot open", sqlite3.OperationalError, sqlite3.SQLITE_CANTOPEN,
        "unable to open database file", daily=False,
    ),
    _sqlite(
        "no table", sqlite3.OperationalError, sqlite3.SQLITE_ERROR, "no such table: gone",
        daily=False,
    ),
    _sqlite(
        "corrupt", sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT,
        "database disk image is malformed",
    ),
    _sqlite(
        "no database", sqlite3.DatabaseError, sqlite3.SQLITE_NOTADB, "file is not a database",
        daily=False,
    ),
    _sqlite(
        "constraint", sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT,
        "UNIQUE constraint failed: somewhere", "write",
    ),
    Failure("damaged row", "row", _raising(_undecodable)),
    Failure("no memory", "call", _raising(MemoryError)),
)  # fmt: skip


def _reply(code: int, name: str, daily: bool = True) -> Failure:
    def strike(command: Mapping[str, Any]) -> Any:
        reply = {"ok": 0.0, "code": code, "codeName": name, "errmsg": f"{name} of a test"}
        if code in _RETRYABLE and "txnNumber" in command:
            within = command.get("autocommit") is False and "commitTransaction" not in command
            reply["errorLabels"] = [
                "TransientTransactionError" if within else "RetryableWriteError"
            ]
        helpers_shared._check_command_response(reply, _MAX_WIRE)

    return Failure(f"{code} {name}", "call", strike, daily)


def write_errors(*codes: int) -> Failure:
    """Hidden among the results of a write that as such went well."""

    def strike(_: Mapping[str, Any]) -> Any:
        errors = [
            {"index": index, "code": code, "errmsg": "refused by a test"}
            for index, code in enumerate(codes)
        ]
        return [{"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": errors}], None, 0.0

    return Failure(f"writeErrors {codes}", "report", strike)


MONGODB: Final = (
    _reply(189, "PrimarySteppedDown"),
    _reply(91, "ShutdownInProgress", daily=False),
    _reply(10107, "NotWritablePrimary", daily=False),
    _reply(11600, "InterruptedAtShutdown", daily=False),
    _reply(11602, "InterruptedDueToReplStateChange", daily=False),
    _reply(50, "MaxTimeMSExpired"),
    _reply(262, "ExceededTimeLimit", daily=False),
    _reply(13, "Unauthorized"),
    _reply(18, "AuthenticationFailed", daily=False),
    _reply(96, "OperationFailed"),
    _reply(8000, "AtlasError", daily=False),
    _reply(14031, "OutOfDiskSpace"),
    write_errors(14031),
    write_errors(11000),
    Failure(
        "no connection", "call", _raising(lambda: AutoReconnect("connection closed")), daily=False
    ),
    Failure("no answer", "call", _raising(lambda: NetworkTimeout("timed out"))),
)

WATCHING: Final = (
    Failure("no watches", "call", _raising(lambda: OSError(28, "inotify watch limit reached"))),
    Failure("no thread", "call", _raising(lambda: RuntimeError("error in underlying watcher"))),
)
"""The errors of watching the files of a SQLite store."""
