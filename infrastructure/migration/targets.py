"""The targets of references, by id: more of them than fit into memory."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Final

from infrastructure.migration.chunks import chunks

_VARIABLES: Final = 500
"""Names in one `IN (…)`: short statements parse faster."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ticket of an organisation in a system; or a record that is none, with the `reason`."""

    org_id: str
    system: str
    reason: str | None = None


class Targets:
    """In a file that is gone when it is closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE targets (id TEXT PRIMARY KEY, what TEXT) WITHOUT ROWID")

    def keep(self, targets: Iterable[tuple[str, Target]]) -> None:
        rows = [(name, json.dumps([t.org_id, t.system, t.reason])) for name, t in targets]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO targets VALUES (?, ?)", rows)

    def find(self, ids: Collection[str]) -> Mapping[str, Target]:
        """Those of the ids that were kept."""
        targets: dict[str, Target] = {}
        for names in chunks(ids, _VARIABLES):
            query = f"SELECT id, what FROM targets WHERE id IN ({', '.join('?' * len(names))})"
            rows = self._connection.execute(query, names)
            targets.update((name, Target(*json.loads(what))) for name, what in rows)
        return targets


@contextmanager
def open_targets() -> Iterator[Targets]:
    with TemporaryDirectory(prefix="ticketbook-") as folder:
        connection = sqlite3.connect(f"{folder}/targets.db")
        try:
            yield Targets(connection)
        finally:
            connection.close()
