"""The versions of a view on SQLite: one row per projection in the table `versions`."""

from collections.abc import Callable, Mapping, Sequence
from json import dumps, loads
from sqlite3 import Connection
from typing import Any, Final, Generic, TypeVar

from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from infrastructure.sqlite.views import SQLiteView
from projections.running.projection import Skipped
from projections.versions.registry import (
    Build,
    Registry,
    check_caught_up,
    check_known,
    leftovers,
)

V = TypeVar("V", bound=SQLiteView[Any])

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS versions (
    projection TEXT PRIMARY KEY,
    live INTEGER NOT NULL,
    kept TEXT NOT NULL,
    building INTEGER,
    target INTEGER,
    shares INTEGER,
    paused INTEGER,
    rate INTEGER,
    next INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS skipped (
    projection TEXT NOT NULL,
    position INTEGER NOT NULL,
    ticket_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (projection, position)
) WITHOUT ROWID;
"""


class SQLiteVersions(Generic[V]):
    """`Versions` of the projection `name`. Makes the first one, live, when there is none."""

    def __init__(
        self, database: SQLiteDatabase, name: str, make: Callable[[SQLiteDatabase, int], V]
    ) -> None:
        self._database = database
        self._name = name
        self._make = make
        database.create(
            f"{_TABLES} INSERT OR IGNORE INTO versions (projection, live, kept, next) "
            f"VALUES ('{name}', 1, '[]', 2);"
        )
        registry = self.registry()
        for version in (registry.live, *registry.kept):
            self.view(version).create(indexed=True)

    def registry(self) -> Registry:
        with self._database.reading() as connection:
            return self._registry(connection)

    def view(self, version: int) -> V:
        return self._make(self._database, version)

    def begin(self, target: int, partitions: int) -> Build:
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE versions SET building = next, target = ?, shares = ?, paused = 0, "
                "rate = NULL, next = next + 1 WHERE projection = ? AND building IS NULL",
                (target, partitions, self._name),
            )
            build = self._registry(connection).building
        assert build is not None  # either it was there, or it is ours
        self.view(build.version).create(indexed=False)
        return build

    def control(self, *, paused: bool | None = None, rate: int | None = None) -> Build | None:
        with self._database.writing() as connection:
            mine = "WHERE projection = ? AND building IS NOT NULL"
            if paused is not None:
                connection.execute(f"UPDATE versions SET paused = ? {mine}", (paused, self._name))
            if rate is not None:
                values = (rate or None, self._name)
                connection.execute(f"UPDATE versions SET rate = ? {mine}", values)
            return self._registry(connection).building

    def switch(self, to: int) -> None:
        with self._database.writing() as connection:
            registry = self._registry(connection)
            if registry.live == to:
                return
            check_known(self._name, registry, to)
            check_caught_up(
                self._name,
                to,
                position=self._position(connection, to),
                live_position=self._position(connection, registry.live),
            )
            self._store(connection, registry.switch(to))

    def rehearse_switch(self) -> None:
        """Does nothing: one transaction switches, whole or not at all."""

    def rehearse_drop(self) -> None:
        """Does nothing: whoever can write to the file can delete rows too."""

    def forget(self, version: int) -> None:
        with self._database.writing() as connection:
            registry = self._registry(connection)
            check_known(self._name, registry, version)
            self._store(connection, registry.forget(version))

    def drop(self, version: int) -> None:
        if version not in self.registry().versions:
            self.view(version).drop()

    def skip(self, event: Skipped) -> None:
        row = (event.position, event.ticket_id, event.actor, event.reason)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO skipped VALUES (?, ?, ?, ?, ?, ?)",
                (self._name, *row, to_milliseconds(event.at)),
            )

    def skipped(self) -> Mapping[int, Skipped]:
        query = (
            "SELECT position, ticket_id, actor, reason, at FROM skipped "
            "WHERE projection = ? ORDER BY position"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, (self._name,)).fetchall()
        return {
            position: Skipped(position, ticket_id, actor, reason, from_milliseconds(at))
            for position, ticket_id, actor, reason, at in rows
        }

    def leftovers(self) -> Sequence[int]:
        query = "SELECT view FROM checkpoints WHERE view GLOB ? ORDER BY view"
        with self._database.reading() as connection:
            registry = self._registry(connection)
            views = connection.execute(query, (f"{self._name}@*",)).fetchall()
        return leftovers([view for (view,) in views], registry)

    def publish(self) -> None:
        """Does nothing: this store has no readers outside the service."""

    def _registry(self, connection: Connection) -> Registry:
        live, kept_json, version, target, partitions, paused, rate = connection.execute(
            "SELECT live, kept, building, target, shares, paused, rate FROM versions "
            "WHERE projection = ?",
            (self._name,),
        ).fetchone()
        build = None
        if version is not None:
            build = Build(version, target, partitions, bool(paused), rate)
        return Registry(live, tuple(loads(kept_json)), build)

    def _store(self, connection: Connection, registry: Registry) -> None:
        building = registry.building.version if registry.building else None
        connection.execute(
            "UPDATE versions SET live = ?, kept = ?, building = ? WHERE projection = ?",
            (registry.live, dumps(registry.kept), building, self._name),
        )

    def _position(self, connection: Connection, version: int) -> int:
        query = "SELECT position FROM checkpoints WHERE view = ?"
        (position,) = connection.execute(query, (self.view(version).name,)).fetchone()
        return int(position)
