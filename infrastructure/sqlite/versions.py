"""The versions of a view on SQLite: one row per projection in the table `versions`."""

from collections.abc import Callable, Mapping, Sequence
from json import dumps, loads
from sqlite3 import Connection
from typing import Any, Final, Generic, TypeVar

from domain.errors import ProjectionBehind, VersionUnknown
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from infrastructure.sqlite.views import SQLiteView
from projections.running.projection import Skipped
from projections.versions.registry import Build, Registry, number_of

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

    def begin(self, target: int, shares: int) -> Build:
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE versions SET building = next, target = ?, shares = ?, paused = 0, "
                "rate = NULL, next = next + 1 WHERE projection = ? AND building IS NULL",
                (target, shares, self._name),
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
            self._refuse_unknown(registry, to)
            if self._position(connection, to) < self._position(connection, registry.live):
                raise ProjectionBehind(
                    f"Version {to} of {self._name} is behind the live one. Try again in a moment."
                )
            kept = [registry.live, *(one for one in registry.kept if one != to)]
            connection.execute(
                "UPDATE versions SET live = ?, kept = ?, building = nullif(building, ?) "
                "WHERE projection = ?",
                (to, dumps(kept), to, self._name),
            )

    def forget(self, version: int) -> None:
        with self._database.writing() as connection:
            registry = self._registry(connection)
            self._refuse_unknown(registry, version)
            kept = [one for one in registry.kept if one != version]
            connection.execute(
                "UPDATE versions SET kept = ?, building = nullif(building, ?) WHERE projection = ?",
                (dumps(kept), version, self._name),
            )

    def drop(self, version: int) -> None:
        registry = self.registry()
        building = registry.building.version if registry.building else None
        if version not in (registry.live, building, *registry.kept):
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
            return {
                position: Skipped(position, ticket_id, actor, reason, from_milliseconds(at))
                for position, ticket_id, actor, reason, at in connection.execute(
                    query, (self._name,)
                )
            }

    def leftovers(self) -> Sequence[int]:
        query = "SELECT view FROM checkpoints WHERE view GLOB ? ORDER BY view"
        with self._database.reading() as connection:
            registry = self._registry(connection)
            found = connection.execute(query, (f"{self._name}@*",)).fetchall()
        return [one for (view,) in found if (one := number_of(view)) not in registry.versions]

    def publish(self) -> None:
        """Nobody outside reads this store."""

    def _registry(self, connection: Connection) -> Registry:
        live, kept, building, target, shares, paused, rate = connection.execute(
            "SELECT live, kept, building, target, shares, paused, rate FROM versions "
            "WHERE projection = ?",
            (self._name,),
        ).fetchone()
        build = None
        if building is not None:
            build = Build(building, target, shares, bool(paused), rate)
        return Registry(live, tuple(loads(kept)), build)

    def _position(self, connection: Connection, version: int) -> int:
        query = "SELECT position FROM checkpoints WHERE view = ?"
        (position,) = connection.execute(query, (self.view(version).name,)).fetchone()
        return int(position)

    def _refuse_unknown(self, registry: Registry, version: int) -> None:
        building = registry.building.version if registry.building else None
        if version not in (building, *registry.kept):
            raise VersionUnknown(
                f"{self._name} has no version {version} beside the live one, {registry.live}. "
                "See ticketbook projections status."
            )
