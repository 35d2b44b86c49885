"""The writer of the journal in a process: entries that arrive together are stored together."""

from collections.abc import Sequence
from concurrent.futures import Future

from infrastructure.journal.entries import Journal, JournalEntry
from infrastructure.log.group_commit import GroupCommit


class JournalWriter:
    """Stores journal entries. Each caller learns when the entry is durable, or why it is not."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._group = GroupCommit[JournalEntry, None](self._settle, name="journal")

    def submit(self, entry: JournalEntry) -> Future[None]:
        """Done once the entry is durable, or failed with `StoreUnavailable`."""
        return self._group.submit(entry)

    def append(self, entry: JournalEntry) -> None:
        """Store the entry, and wait until it is durable."""
        self.submit(entry).result()

    def close(self) -> None:
        """Store the submitted entries, then stop."""
        self._group.close()

    def read(
        self, org_id: str | None, *, beyond: int | None, limit: int
    ) -> Sequence[tuple[int, JournalEntry]]:
        """As `Journal.read`."""
        return self._journal.read(org_id, beyond=beyond, limit=limit)

    def _settle(self, entries: Sequence[JournalEntry]) -> Sequence[Exception | None]:
        self._journal.append(entries)
        return [None] * len(entries)
