"""Between the stores and their drivers: a listener sees each call of `sqlite3` and of `pymongo`
before it happens, and may raise in its place."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from pymongo import MongoClient
from pymongo.synchronous import command_runner

Send = Callable[[], Any]
"""Sends a command to MongoDB; its reply as the driver has it: `(documents, message, seconds)`."""

_WRITES: Final = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|VACUUM|WITH|PRAGMA user_version *=)", re.I
)


class Listener:
    """Hears of everything that the stores in this process ask of their drivers."""

    def connects(self) -> None:
        """A connection to a SQLite file is about to be opened."""

    def connected(self, connection: sqlite3.Connection) -> None:
        """A connection to a SQLite file was opened."""

    def executes(self, connection: Any, sql: str) -> None:
        """A SQLite statement is about to be executed."""

    def fetches(self, connection: Any) -> None:
        """Rows of a SQLite statement, or the next of them, are about to be read."""

    def sends(self, name: str, command: Mapping[str, Any], send: Send) -> Any:
        """The reply to a command to MongoDB. Greetings and heartbeats are not heard."""
        return send()


class Transactions:
    """The transactions of MongoDB that nobody ended, as whoever should have is dead or cut off.
    MongoDB gives up on them after a minute."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Mapping[str, Any]] = {}

    def note(self, name: str, command: Mapping[str, Any]) -> None:
        """A command was sent and answered."""
        if name in ("commitTransaction", "abortTransaction"):
            self._sessions.pop(bytes(command["lsid"]["id"]), None)
        elif command.get("autocommit") is False:
            self._sessions[bytes(command["lsid"]["id"])] = dict(command["lsid"])

    def a_minute_passes(self, url: str) -> None:
        """On the server at this address."""
        if self._sessions:
            with MongoClient[Any](url) as client:
                client.admin.command("killSessions", list(self._sessions.values()))
            self._sessions.clear()


def written(sql: str) -> str | None:
    """The word by which a SQLite statement writes; None if it does not."""
    word = _WRITES.match(sql)
    return word[1].upper() if word else None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have the listener hear of the calls of all stores that are opened in the block."""
    connect, run = sqlite3.connect, command_runner._run_command
    with ExitStack() as hooks:
        hooks.enter_context(patch.object(sqlite3, "connect", _connecting(listener, connect)))
        hooks.enter_context(patch.object(command_runner, "_run_command", _running(listener, run)))
        yield


def _connecting(listener: Listener, connect: Callable[..., Any]) -> Callable[..., Any]:
    def opened(*arguments: Any, factory: Any = sqlite3.Connection, **named: Any) -> Any:
        listener.connects()
        heard = _connection(listener, factory)
        connection = connect(*arguments, **named, factory=heard)
        listener.connected(connection)
        return connection

    return opened


def _connection(listener: Listener, factory: Any) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def fetchone(self) -> Any:
            listener.fetches(self.connection)
            return super().fetchone()

        def fetchmany(self, *arguments: Any, **named: Any) -> list[Any]:
            listener.fetches(self.connection)
            return super().fetchmany(*arguments, **named)

        def fetchall(self) -> list[Any]:
            listener.fetches(self.connection)
            return super().fetchall()

        def __next__(self) -> Any:
            listener.fetches(self.connection)
            return super().__next__()

    class Connection(factory):  # type: ignore[misc]  # a class that is known at run time alone
        changed = False
        """Whether the transaction at hand has written something, as the listener notes it."""

        def cursor(self, *arguments: Any, **named: Any) -> Any:
            return super().cursor(*(arguments or (Cursor,)), **named)

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            listener.executes(self, sql)
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            rows = list(parameters)
            if rows:
                listener.executes(self, sql)
            return super().executemany(sql, rows)

        def executescript(self, sql_script: str, /) -> Any:
            statement = ""
            for part in re.split(r"(?<=;)", sql_script):
                statement += part
                if sqlite3.complete_statement(statement):
                    self.execute(statement)
                    statement = ""
            return self.cursor()

    return Connection


def _running(listener: Listener, run: Callable[..., Any]) -> Callable[..., Any]:
    def sent(conn: Any, cmd: Any, *arguments: Any, **named: Any) -> Any:
        def send() -> Any:
            return run(conn, cmd, *arguments, **named)

        if named["client"] is None:  # it greets the server, or looks whether it is there
            return send()
        return listener.sends(next(iter(cmd)), cmd, send)

    return sent
