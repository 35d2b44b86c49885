"""Whatever a store lends is given back clean or not at all, and never to files that are gone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from domain.errors import StoreCorrupt, StoreUnavailable
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog
from infrastructure.sqlite.notes import SQLiteNotes


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLiteDatabase]:
    with closing(SQLiteDatabase(tmp_path / "store.db")) as opened:
        notes = SQLiteNotes(opened)
        for number in range(3):
            notes.keep(f"{number}", number)
        yield opened


def names(database: SQLiteDatabase) -> list[str]:
    with database.reading() as connection:
        rows = connection.execute("SELECT name FROM notes ORDER BY name").fetchall()
    return [name for (name,) in rows]


def fail_within(database: SQLiteDatabase) -> Exception:
    """An exception that holds a cursor in the middle of a read transaction."""
    try:
        with database.reading() as connection:
            for (name,) in connection.execute("SELECT name FROM notes ORDER BY name"):
                if name == "1":
                    raise ValueError("the second row is damaged")
    except ValueError as error:
        return error
    raise AssertionError("nothing was raised")


def test_no_read_is_older_than_a_commit_after_an_exception_within_a_read(
    database: SQLiteDatabase,
) -> None:
    held = fail_within(database)
    SQLiteNotes(database).keep("new", True)

    for _ in range(5):
        assert "new" in names(database)
    assert held.__traceback__  # it is still held, and with it its frames


def test_no_read_is_older_than_a_commit_after_a_cursor_was_left_half_read(
    database: SQLiteDatabase,
) -> None:
    with database.reading() as connection:
        cursor = connection.execute("SELECT name FROM notes")
        assert cursor.fetchone()
    SQLiteNotes(database).keep("new", True)

    assert "new" in names(database)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        cursor.fetchone()


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, StoreCorrupt])
def test_a_connection_in_use_when_something_was_raised_is_closed_and_never_used_again(
    database: SQLiteDatabase, raised: type[BaseException]
) -> None:
    lending = (database.reading, database.writing)
    for lend in lending:
        with pytest.raises(raised), lend() as lent:
            raise raised("in the middle")
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            lent.execute("SELECT 1")
        with lend() as next_one:
            assert next_one is not lent


def test_a_write_that_failed_leaves_nothing_and_the_next_one_goes_on(
    database: SQLiteDatabase,
) -> None:
    with pytest.raises(ValueError), database.writing() as connection:
        connection.execute("DELETE FROM notes")
        raise ValueError("in the middle")

    assert names(database) == ["0", "1", "2"]
    SQLiteNotes(database).keep("new", True)
    assert names(database) == ["0", "1", "2", "new"]


def test_connections_that_failed_leave_no_descriptors_behind(database: SQLiteDatabase) -> None:
    for _ in range(20):
        fail_within(database)
        with suppress(ValueError), database.writing():
            raise ValueError
    names(database)
    SQLiteNotes(database).keep("new", True)

    assert len(database._opened) == 3  # one that stays, one that writes, one that reads


def remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()


def remove_recent(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replace(path: Path) -> None:
    path.rename(path.with_name("aside.db"))
    with closing(SQLiteDatabase(path)):
        pass


@pytest.mark.parametrize("harm", [remove, remove_recent, replace])
def test_a_store_whose_file_is_gone_takes_nothing_more_and_names_the_path(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "store.db"
    with closing(SQLiteDatabase(path)) as database:
        notes, log = SQLiteNotes(database), SQLiteLog(database)
        notes.keep("kept", 1)
        harm(path)

        for attempt in (lambda: notes.keep("lost", 2), log.head, database.check):
            with pytest.raises(StoreUnavailable, match=str(path)):
                attempt()
    if harm is remove:
        assert not path.exists()


def test_a_file_that_is_removed_within_a_commit_is_not_said_to_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SQLiteDatabase(path)) as database:
        SQLiteNotes(database)
        with (
            pytest.raises(StoreUnavailable, match="is gone"),
            database.writing() as connection,
        ):
            connection.execute("INSERT INTO notes VALUES ('lost', '1')")
            remove(path)


def test_a_store_goes_on_once_its_file_is_put_back(tmp_path: Path) -> None:
    path, aside = tmp_path / "store.db", tmp_path / "aside.db"
    with closing(SQLiteDatabase(path)) as database:
        notes = SQLiteNotes(database)
        path.rename(aside)
        with pytest.raises(StoreUnavailable):
            notes.keep("kept", 1)
        aside.rename(path)

        notes.keep("kept", 1)
        assert notes.find("kept") == 1
