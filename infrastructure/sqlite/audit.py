"""The `audit` view on SQLite: one row per event, its position as the row id."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from json import JSONEncoder, loads
from sqlite3 import Connection
from typing import Any, Final

from domain.origin import MILLISECOND, milliseconds_up
from infrastructure.sqlite.audit_as_of import last_grant, last_positions
from infrastructure.sqlite.audit_search import positions
from infrastructure.sqlite.bulk import insert
from infrastructure.sqlite.database import SQLiteDatabase, marks, slices
from infrastructure.sqlite.failures import reading_row
from infrastructure.sqlite.moments import from_milliseconds, to_milliseconds
from infrastructure.sqlite.views import SQLiteView
from projections.audit.as_of import PastReader, Then, ThenPage
from projections.audit.projection import AUDIT, AuditEntry, TicketContent
from projections.audit.search import END, AuditFilter, AuditReader, EntryPage, bounds
from projections.running.projection import Key
from projections.tickets.search import TicketFilter

_JSON: Final = JSONEncoder(ensure_ascii=False).encode

_COLUMNS: Final = (
    "a.position, a.ticket_id, a.version, a.org_id, a.system, a.action, a.actor, a.reason, "
    "a.correlation_id, a.causation_id, a.occurred_at, a.recorded_at, a.before, a.after, "
    "a.granted, a.revoked, a.hash"
)

_TEXT, _TEXT_OR_NONE = (str,), (str, type(None))
_TYPES: Final = (
    *((int,), _TEXT, (int,), _TEXT_OR_NONE, _TEXT_OR_NONE, _TEXT, _TEXT, _TEXT_OR_NONE, _TEXT),
    *(_TEXT_OR_NONE, (int,), (int,), _TEXT_OR_NONE, _TEXT_OR_NONE, _TEXT, _TEXT, (bytes,)),
)
"""The types of the columns. SQLite itself would store any value in them."""

# Every index ends in the position, so each gives its page in order. The table beside it holds the
# features that an entry granted or revoked.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS {rows} (
    position INTEGER PRIMARY KEY,
    ticket_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    org_id TEXT,
    system TEXT,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    before TEXT,
    after TEXT,
    granted TEXT NOT NULL,
    revoked TEXT NOT NULL,
    hash BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS {rows}_ticket ON {rows} (ticket_id, position);
CREATE TABLE IF NOT EXISTS {features} (
    feature TEXT NOT NULL,
    position INTEGER NOT NULL,
    gained INTEGER NOT NULL,
    ticket_id TEXT NOT NULL,
    PRIMARY KEY (feature, position)
) WITHOUT ROWID;
"""

_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS {rows}_correlation ON {rows} (correlation_id, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_recorded ON {rows} (recorded_at, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_org ON {rows} (org_id, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_org_ticket ON {rows} (org_id, ticket_id, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_actor ON {rows} (actor, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_action ON {rows} (action, position)",
    "CREATE INDEX IF NOT EXISTS {rows}_system ON {rows} (system, position)",
    "CREATE INDEX IF NOT EXISTS {features}_ticket "
    "ON {features} (feature, ticket_id, position, gained)",
)

_DERIVE: Final = """
INSERT OR IGNORE INTO {features}
SELECT f.value, a.position, 1, a.ticket_id FROM {rows} a, json_each(a.granted) f
WHERE (:above IS NULL OR a.position > :above) AND a.position <= :upto
UNION ALL
SELECT f.value, a.position, 0, a.ticket_id FROM {rows} a, json_each(a.revoked) f
WHERE (:above IS NULL OR a.position > :above) AND a.position <= :upto
ORDER BY 1, 2
"""

# a row with damaged features is found by its types already
_UNFILED: Final = """EXISTS (
SELECT 1 FROM json_each(iif(json_valid(a.{column}), a.{column}, '[]')) j
WHERE NOT EXISTS (SELECT 1 FROM {{features}} f WHERE f.feature = j.value
    AND f.position = a.position AND f.gained = {gained} AND f.ticket_id = a.ticket_id))"""

_FILING: Final = (
    (
        f"SELECT a.position, {_UNFILED.format(column='granted', gained=1)} "
        f"OR {_UNFILED.format(column='revoked', gained=0)}, a.position "
        "FROM {rows} a WHERE a.position > ? ORDER BY a.position",
        (0,),
    ),
    (
        "SELECT f.position, NOT EXISTS (SELECT 1 FROM {rows} a JOIN json_each(CASE "
        "WHEN f.gained = 1 AND json_valid(a.granted) THEN a.granted "
        "WHEN f.gained = 0 AND json_valid(a.revoked) THEN a.revoked ELSE '[]' END) j "
        "ON j.value = f.feature WHERE a.position = f.position AND a.ticket_id = f.ticket_id), "
        "f.feature, f.position FROM {features} f "
        "WHERE (f.feature, f.position) > (?, ?) ORDER BY f.feature, f.position",
        ("", -END),
    ),
)


class SQLiteAudit(SQLiteView[AuditEntry], AuditReader, PastReader):
    """A `View` and its `AuditReader` and `PastReader`."""

    _tables = _TABLES
    _indexes = _INDEXES
    _derive = _DERIVE
    _key = "position"
    _filing = _FILING

    def __init__(self, database: SQLiteDatabase, version: int) -> None:
        super().__init__(database, AUDIT.name, version)

    def page(
        self, where: AuditFilter, *, beyond: int | None, limit: int, newest_first: bool
    ) -> EntryPage:
        with self._database.reading() as connection:
            within = bounds(
                where,
                beyond,
                newest_first=newest_first,
                since=self._bound(connection, where.since),
                before=self._bound(connection, where.before),
            )
            positions_found, edge = positions(
                connection, self._rows, where, within, limit=limit + 1, newest_first=newest_first
            )
            entries = self._at(connection, positions_found[:limit])
        more = len(positions_found) > limit
        return EntryPage(entries, positions_found[limit - 1] if more else edge)

    def position_at(self, moment: datetime) -> int | None:
        with self._database.reading() as connection:
            later = self._first(connection, moment + MILLISECOND)
        return None if later == END else later - 1

    def tickets_at(
        self, position: int, where: TicketFilter, *, beyond: str | None, limit: int
    ) -> ThenPage:
        with self._database.reading() as connection:
            last_entries, edge = last_positions(
                connection, self._rows, position, where, beyond, limit + 1
            )
            tickets: list[Then] = []
            for ticket_id, last in last_entries[:limit]:
                grant: int | None = None
                if where.feature is not None:
                    grant = last_grant(connection, self._rows, where.feature, ticket_id, position)
                (entry,) = self._at(connection, [last])
                granted = [] if grant is None else self._at(connection, [grant])
                tickets.append(Then(entry, granted[0] if granted else None))
        more = len(last_entries) > limit
        return ThenPage(tickets, last_entries[limit - 1][0] if more else edge)

    def between(self, ticket_ids: Collection[str], after: int, upto: int) -> Sequence[AuditEntry]:
        query = (
            f"SELECT {_COLUMNS} FROM {self._rows} a "
            "WHERE ticket_id = ? AND position > ? AND position <= ?"
        )
        with self._database.reading() as connection:
            rows = [
                row
                for ticket_id in ticket_ids
                for row in connection.execute(query, (ticket_id, after, upto)).fetchall()
            ]
        return sorted(map(_entry, rows), key=lambda entry: entry.position)

    def latest(self, ticket_ids: Collection[str]) -> Mapping[str, AuditEntry]:
        query = (
            f"SELECT {_COLUMNS} FROM {self._rows} a WHERE ticket_id = ? "
            "ORDER BY position DESC LIMIT 1"
        )
        with self._database.reading() as connection:
            rows = {
                ticket_id: row
                for ticket_id in ticket_ids
                for row in connection.execute(query, (ticket_id,)).fetchall()
            }
        return {ticket_id: _entry(row) for ticket_id, row in rows.items()}

    def _row(self, stored: Any) -> AuditEntry | None:
        entry = _entry(stored)
        typed = all(type(value) in types for value, types in zip(stored, _TYPES, strict=True))
        return entry if typed and _row(entry) == stored else None

    def _remove(self, keys: Sequence[Key], connection: Connection) -> None:
        connection.executemany(
            f"DELETE FROM {self._rows} WHERE position = ?", [(key,) for key in keys]
        )
        for slice_ in slices(keys):
            query = f"DELETE FROM {self._features} WHERE position IN ({marks(slice_)})"
            connection.execute(query, slice_)

    def _write(self, rows: Sequence[tuple[str, AuditEntry | None]], connection: Connection) -> None:
        entries = [entry for _, entry in rows if entry is not None]
        self._load(entries, connection)
        # an entry never changes once it is there, so neither do its keys
        changes = sorted(
            (feature, entry.position, gained, entry.ticket_id)
            for entry in entries
            for gained, features in ((True, entry.granted), (False, entry.revoked))
            for feature in features
        )
        insert(connection, f"INSERT OR IGNORE INTO {self._features}", changes)

    def _load(self, rows: Sequence[AuditEntry], connection: Connection) -> None:
        insert(connection, f"INSERT OR REPLACE INTO {self._rows}", [_row(entry) for entry in rows])

    def _bound(self, connection: Connection, moment: datetime | None) -> int | None:
        """The position at which a range of times begins or ends, if `moment` is given."""
        return None if moment is None else self._first(connection, milliseconds_up(moment))

    def _first(self, connection: Connection, moment: datetime) -> int:
        """The first position recorded at `moment` or later."""
        query = (
            f"SELECT position FROM {self._rows} WHERE recorded_at >= ? "
            "ORDER BY recorded_at, position LIMIT 1"
        )
        row = connection.execute(query, (to_milliseconds(moment),)).fetchone()
        return int(row[0]) if row else END

    def _at(self, connection: Connection, wanted: Sequence[int]) -> list[AuditEntry]:
        query = f"SELECT {_COLUMNS} FROM {self._rows} a WHERE position = ?"
        rows = [
            row for position in wanted for row in connection.execute(query, (position,)).fetchall()
        ]
        return [_entry(row) for row in rows]


def _row(entry: AuditEntry) -> tuple[Any, ...]:
    return (
        entry.position,
        entry.ticket_id,
        entry.version,
        entry.org_id,
        entry.system,
        entry.action,
        entry.actor,
        entry.reason,
        entry.correlation_id,
        entry.causation_id,
        to_milliseconds(entry.occurred_at),
        to_milliseconds(entry.recorded_at),
        _held(entry.before),
        _held(entry.after),
        _JSON(entry.granted),
        _JSON(entry.revoked),
        bytes.fromhex(entry.hash),
    )


def _held(content: TicketContent | None) -> str | None:
    if content is None:
        return None
    return _JSON({"name": content.name, "features": content.features, "retired": content.retired})


@reading_row(AUDIT.name)
def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        position=row[0],
        ticket_id=row[1],
        version=row[2],
        org_id=row[3],
        system=row[4],
        action=row[5],
        actor=row[6],
        reason=row[7],
        correlation_id=row[8],
        causation_id=row[9],
        occurred_at=from_milliseconds(row[10]),
        recorded_at=from_milliseconds(row[11]),
        before=_content(row[12]),
        after=_content(row[13]),
        granted=tuple(loads(row[14])),
        revoked=tuple(loads(row[15])),
        hash=row[16].hex(),
    )


def _content(text: str | None) -> TicketContent | None:
    if text is None:
        return None
    content = loads(text)
    return TicketContent(content["name"], tuple(content["features"]), content["retired"])
