"""`status`: how far a migration is, and which step is next."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from domain.log.ports import EventLog
from domain.origin import iso
from infrastructure.migration.destination import DestinationView
from infrastructure.migration.imported_events import every_event, took_over
from infrastructure.migration.proofs import Backup, Proofs, Verified
from infrastructure.migration.restoring import is_out
from infrastructure.migration.source import TICKETS, DatabaseSource, FolderSource

Next = Literal["backup", "run", "verify", "retire", "done"]


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """`began` is when the first record of the collection was taken over, ISO; `records` are about
    those in the source now, and 0 once it is `retired`."""

    source: str
    records: int
    retired: bool
    backup: Backup | None
    began: str | None
    verified: Verified | None

    @property
    def next(self) -> Next:
        """The step that is next. A verification of other content than the backup holds is none."""
        if self.retired:
            return "done"
        if self.backup is None:
            return "backup"
        if self.began is None:
            return "run"
        if self.verified is None:
            return "verify"
        return "retire" if self.verified.content == self.backup.content else "backup"

    def as_json(self) -> dict[str, Any]:
        backup = self.backup and {
            "folder": self.backup.folder,
            "at": self.backup.at,
            **asdict(self.backup.content),
        }
        verified = self.verified and {
            "at": self.verified.at,
            "position": self.verified.position,
            **asdict(self.verified.content),
        }
        return {
            "source": self.source,
            "records": self.records,
            "retired": self.retired,
            "backup": backup,
            "began": self.began,
            "verified": verified,
            "next": self.next,
        }


def status(view: DestinationView, source: DatabaseSource | FolderSource) -> MigrationStatus:
    """Raises `SourceUnusable`, `StoreUnavailable`. Writes nothing anywhere."""
    retired = isinstance(source, DatabaseSource) and is_out(source.collection(TICKETS))
    proofs = Proofs(view.notes, source.name, TICKETS) if view.notes else None
    return MigrationStatus(
        source=source.name,
        records=0 if retired else source.count(TICKETS),
        retired=retired,
        backup=proofs.backup() if proofs else None,
        began=_began(view.log) if view.log else None,
        verified=proofs.verified() if proofs else None,
    )


def _began(log: EventLog) -> str | None:
    for recorded in every_event(log):
        if took_over(recorded, TICKETS):
            return iso(recorded.recorded_at)
    return None
