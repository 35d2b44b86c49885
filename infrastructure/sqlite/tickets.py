"""The `tickets` view on SQLite."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from json import JSONEncoder, loads
from sqlite3 import Connection
from typing import Any, Final

from domain.ticket.state import Ticket
from infrastructure.sqlite.bulk import delete, insert
from infrastructure.sqlite.database import SQLiteDatabase, marks, slices
from infrastructure.sqlite.failures import reading_row
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from infrastructure.sqlite.ticket_search import rows_of
from infrastructure.sqlite.views import SQLiteView
from projections.running.projection import Key
from projections.tickets.projection import TICKETS
from projections.tickets.search import TicketFilter, TicketPage, TicketSearch, page_of

_JSON: Final = JSONEncoder(ensure_ascii=False).encode

_COLUMNS: Final = (
    "t.id, t.org_id, t.system, t.name, t.retired, "
    "t.features, t.created_at, t.updated_at, t.revision, t.version, t.position"
)

_TYPES: Final = (str, str, str, str, int, str, int, int, int, int, int)
"""The types of the columns. SQLite itself would store any value in them."""

_LIGHT: Final = """
ON CONFLICT (id) DO UPDATE SET
    features = excluded.features, created_at = excluded.created_at,
    updated_at = excluded.updated_at, revision = excluded.revision, version = excluded.version,
    position = excluded.position
"""

# The table beside it holds the features of tickets in use, for the filter alone.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS {rows} (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    system TEXT NOT NULL,
    name TEXT NOT NULL,
    retired INTEGER NOT NULL,
    features TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {features} (
    feature TEXT NOT NULL,
    org_id TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (feature, org_id, id)
) WITHOUT ROWID;
"""


_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS {rows}_org ON {rows} (org_id, id) WHERE NOT retired",
    "CREATE INDEX IF NOT EXISTS {rows}_retired ON {rows} (org_id, id) WHERE retired",
    "CREATE INDEX IF NOT EXISTS {rows}_org_system ON {rows} (org_id, system, id) WHERE NOT retired",
    "CREATE INDEX IF NOT EXISTS {rows}_org_name ON {rows} (org_id, name, id) WHERE NOT retired",
    "CREATE INDEX IF NOT EXISTS {rows}_system ON {rows} (system, id) WHERE NOT retired",
    "CREATE INDEX IF NOT EXISTS {rows}_name ON {rows} (name, id) WHERE NOT retired",
)

_DERIVE: Final = """
INSERT OR IGNORE INTO {features}
SELECT f.value, t.org_id, t.id FROM {rows} t, json_each(t.features) f
WHERE NOT t.retired AND (:above IS NULL OR t.id > :above) AND t.id <= :upto
ORDER BY 1, 2, 3
"""

_LOAD: Final = """
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, retired = excluded.retired, features = excluded.features,
    created_at = excluded.created_at, updated_at = excluded.updated_at,
    revision = excluded.revision, version = excluded.version, position = excluded.position
WHERE excluded.version > {rows}.version
"""

# a row with damaged features is found by its types already
_FEATURES: Final = "json_each(iif(json_valid(t.features), t.features, '[]'))"

_FILING: Final = (
    (
        "SELECT t.id, NOT t.retired AND EXISTS ("
        f"SELECT 1 FROM {_FEATURES} j WHERE NOT EXISTS (SELECT 1 FROM {{features}} f "
        "WHERE f.feature = j.value AND f.org_id = t.org_id AND f.id = t.id)), t.id "
        "FROM {rows} t WHERE t.id > ? ORDER BY t.id",
        ("",),
    ),
    (
        "SELECT f.id, NOT EXISTS (SELECT 1 FROM {rows} t "
        f"JOIN {_FEATURES} j ON j.value = f.feature "
        "WHERE t.id = f.id AND t.org_id = f.org_id AND NOT t.retired), f.feature, f.org_id, f.id "
        "FROM {features} f WHERE (f.feature, f.org_id, f.id) > (?, ?, ?) "
        "ORDER BY f.feature, f.org_id, f.id",
        ("", "", ""),
    ),
)


class SQLiteTickets(SQLiteView[Ticket]):
    """A `View` and its `TicketReader`."""

    _tables = _TABLES
    _indexes = _INDEXES
    _derive = _DERIVE
    _key = "id"
    _filing = _FILING

    def __init__(self, database: SQLiteDatabase, version: int) -> None:
        super().__init__(database, TICKETS.name, version)

    def get(self, ticket_id: str) -> Ticket | None:
        return self.latest((ticket_id,)).get(ticket_id)

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, Ticket]:
        with self._database.reading() as connection:
            rows = self._fetched(connection, ticket_ids)
        return {ticket.id: ticket for ticket in map(_ticket, rows)}

    def find(self, where: TicketFilter, after_id: str | None, limit: int) -> Sequence[Ticket]:
        source, by = f"{self._rows} t", "t"
        if where.feature is not None:
            source, by = f"{self._features} f CROSS JOIN {self._rows} t USING (id)", "f"
        # the unary plus keeps the planner from taking the system's index where the name's is better
        system = "+t.system = ?" if where.name is not None else "t.system = ?"
        conditions = {
            f"{by}.id > ?": after_id,
            f"{by}.org_id = ?": where.org_id,
            "f.feature = ?": where.feature,
            "t.name = ?": where.name,
            system: where.system,
        }
        matches = {condition: value for condition, value in conditions.items() if value is not None}
        query = (
            f"SELECT {_COLUMNS} FROM {source} WHERE {' AND '.join([*matches, 'NOT t.retired'])} "
            f"ORDER BY {by}.id LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, [*matches.values(), limit]).fetchall()
        return [_ticket(row) for row in rows]

    def search(self, search: TicketSearch, after_id: str | None, limit: int) -> TicketPage:
        with self._database.reading() as connection:
            rows, edge = rows_of(connection, self._rows, _COLUMNS, search, after_id, limit + 1)
        return page_of([_ticket(row) for row in rows], edge, limit)

    def _row(self, stored: Any) -> Ticket | None:
        ticket = _ticket(stored)
        ours = tuple(map(type, stored)) == _TYPES and (*_place(ticket), *_content(ticket)) == stored
        return ticket if ours else None

    def _remove(self, keys: Sequence[Key], connection: Connection) -> None:
        connection.executemany(f"DELETE FROM {self._rows} WHERE id = ?", [(key,) for key in keys])
        for slice_ in slices(keys):
            connection.execute(
                f"DELETE FROM {self._features} WHERE id IN ({marks(slice_)})", slice_
            )

    def _write(self, rows: Sequence[tuple[str, Ticket | None]], connection: Connection) -> None:
        stored = self._fetched(connection, [ticket_id for ticket_id, _ in rows])
        before = {ticket.id: ticket for ticket in map(_ticket, stored)}
        after = {ticket.id: ticket for _, ticket in rows if ticket is not None}
        old = {key for ticket in before.values() for key in _holdings(ticket)}
        new = {key for ticket in after.values() for key in _holdings(ticket)}
        delete(connection, self._features, ("feature", "org_id", "id"), sorted(old - new))
        # a row from elsewhere is no reason to stop
        insert(connection, f"INSERT OR IGNORE INTO {self._features}", sorted(new - old))
        connection.executemany(
            f"DELETE FROM {self._rows} WHERE id = ?",
            [(ticket_id,) for ticket_id in before if ticket_id not in after],
        )
        # most events change no indexed column, and then no index need be updated
        light = [t for t in after.values() if t.id in before and _place(t) == _place(before[t.id])]
        insert(connection, f"INSERT INTO {self._rows}", _rows(light), _LIGHT)
        heavy = after.keys() - {ticket.id for ticket in light}
        insert(
            connection,
            f"INSERT OR REPLACE INTO {self._rows}",
            _rows(after[ticket_id] for ticket_id in heavy),
        )

    def _load(self, rows: Sequence[Ticket], connection: Connection) -> None:
        insert(connection, f"INSERT INTO {self._rows}", _rows(rows), self._named(_LOAD))

    def _fetched(self, connection: Connection, ticket_ids: Collection[str]) -> list[Any]:
        rows: list[Any] = []
        for ids in slices(ticket_ids):
            query = f"SELECT {_COLUMNS} FROM {self._rows} t WHERE id IN ({marks(ids)})"
            rows.extend(connection.execute(query, ids).fetchall())
        return rows


def _rows(tickets: Iterable[Ticket]) -> list[tuple[Any, ...]]:
    """The stored form of tickets, in the order in which the table keeps them."""
    ordered = sorted(tickets, key=lambda ticket: ticket.id)
    return [(*_place(ticket), *_content(ticket)) for ticket in ordered]


def _holdings(ticket: Ticket) -> list[tuple[str, str, str]]:
    """The ticket's rows in `ticket_features`."""
    return [] if ticket.retired else [(f, ticket.org_id, ticket.id) for f in ticket.features]


def _place(ticket: Ticket) -> tuple[Any, ...]:
    """The indexed columns."""
    return (ticket.id, ticket.org_id, ticket.system, ticket.name, ticket.retired)


def _content(ticket: Ticket) -> tuple[Any, ...]:
    return (
        _JSON(ticket.features),
        to_milliseconds(ticket.created_at),
        to_milliseconds(ticket.updated_at),
        ticket.revision,
        ticket.version,
        ticket.position,
    )


@reading_row(TICKETS.name)
def _ticket(row: Any) -> Ticket:
    return Ticket(
        id=row[0],
        org_id=row[1],
        system=row[2],
        name=row[3],
        retired=bool(row[4]),
        features=tuple(loads(row[5])),
        created_at=from_milliseconds(row[6]),
        updated_at=from_milliseconds(row[7]),
        revision=row[8],
        version=row[9],
        position=row[10],
    )
