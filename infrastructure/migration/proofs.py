"""Proofs about a collection of the old system, in the notes beside the log."""

from dataclasses import asdict, dataclass
from typing import Any

from infrastructure.migration.restoring import TableDigest
from infrastructure.stores import Notes


@dataclass(frozen=True, slots=True)
class Backup:
    """A dump that was read back and compared. `shape` is for `restoring.put_back`; `at` is ISO."""

    folder: str
    content: TableDigest
    shape: str
    at: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Every record of exactly this content was accounted for when the log ended at `position`."""

    content: TableDigest
    position: int
    at: str


class Proofs:
    """The latest backup and verification of one collection of one source."""

    def __init__(self, notes: Notes, source: str, collection: str) -> None:
        self._notes = notes
        self._of = f"{source} {collection}"

    def backup(self) -> Backup | None:
        note = self._find("backup")
        return Backup(**note) if note else None

    def verified(self) -> Verified | None:
        note = self._find("verified")
        return Verified(**note) if note else None

    def backed_up(self, backup: Backup) -> None:
        self._notes.keep(f"backup {self._of}", asdict(backup))

    def was_verified(self, verified: Verified) -> None:
        self._notes.keep(f"verified {self._of}", asdict(verified))

    def is_not_verified(self) -> None:
        """Forget the last verification: it does not hold any more."""
        self._notes.forget(f"verified {self._of}")

    def _find(self, what: str) -> dict[str, Any] | None:
        note: dict[str, Any] | None = self._notes.find(f"{what} {self._of}")
        return note and note | {"content": TableDigest(**note["content"])}
