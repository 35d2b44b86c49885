"""SQLite's errors as ours, with advice for the operator: one table for all statements."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

from domain.errors import RowUnreadable, StoreCorrupt, StoreRefused, StoreUnavailable

_NOT_ALLOWED: Final = frozenset({sqlite3.SQLITE_AUTH, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY})
"""Primary error codes of what the system does not allow this process."""

UNREADABLE: Final = (
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors of reading a row that something else wrote."""

_NO_TEXT: Final = "Could not decode to UTF-8"
"""How SQLite's message about stored text begins that is none."""

Row = TypeVar("Row")

_PRIMARY: Final = 0xFF
"""The bits of an extended error code that hold its primary one."""


class Conflicting(StoreCorrupt):
    """A constraint of a table refused the statement. `SQLiteLog` finds out which commit was first;
    elsewhere something else wrote into the table."""


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """Raise our errors in place of SQLite's. Only a wrong statement stays what it is."""
    try:
        yield
    except MemoryError as error:
        raise StoreUnavailable(f"There is no memory left to use {path}.") from error
    except sqlite3.IntegrityError as error:
        raise Conflicting(
            f"{path} refused a row: {error}. Something else may have written into its tables: run "
            "ticketbook projections verify."
        ) from error
    except sqlite3.OperationalError as error:
        if str(error).startswith(_NO_TEXT):
            raise StoreCorrupt(f"{path} holds text that is no UTF-8: {error}.") from error
        raise _refusal(path, error) from error
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise  # the statement is wrong, not the file
        raise StoreUnavailable(f"{path} was closed meanwhile: the service is ending.") from error
    except (sqlite3.DataError, sqlite3.NotSupportedError):
        raise  # the statement is wrong, not the file
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(
            f"{path} is not a SQLite database, or it is damaged: {error}. "
            "Restore it from a backup, or name another file in TICKETBOOK_STORE."
        ) from error


def reading_row(projection: str) -> Callable[[Callable[[Any], Row]], Callable[[Any], Row]]:
    """Have a function that makes something of a stored row raise `RowUnreadable` where it cannot.
    A row's key is its first column."""

    def decorate(read: Callable[[Any], Row]) -> Callable[[Any], Row]:
        @wraps(read)
        def reading(row: Any) -> Row:
            try:
                return read(row)
            except UNREADABLE as error:
                raise RowUnreadable(projection, row[0], error) from error

        return reading

    return decorate


def _refusal(path: Path, error: sqlite3.OperationalError) -> StoreUnavailable:
    if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _NOT_ALLOWED:
        return StoreRefused(
            f"SQLite may not use {path}: {error}. Let the user of this process read and write the "
            "file, those beside it that begin with its name, and their folder."
        )
    return StoreUnavailable(
        f"SQLite cannot use {path}: {error}. "
        "Check that the disk has room, the folder is writable and no other process holds it."
    )
