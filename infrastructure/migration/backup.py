"""`backup`: dump the old system's records as mongodump does, with a manifest, and read them back.

Users are dumped as they are, password hashes included: folder and files are for their owner alone.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from domain.errors import BackupUnusable, NotProven
from infrastructure.migration.destination import Destination
from infrastructure.migration.proofs import Backup, Proofs
from infrastructure.migration.restoring import TableDigest, digest_of, shape_of
from infrastructure.migration.source import TICKETS, USERS, DatabaseSource, FolderSource, documents

MANIFEST: Final = "manifest.json"

_TELL_EVERY: Final = 10_000
"""Records between two messages of how far a dump is."""

_NO_SHAPE: Final = '{"options": {}, "indexes": []}'
"""Of a folder of dumps, which does not say how its collections were set up."""


@dataclass(frozen=True, slots=True)
class Dump:
    """The content of a file; `shape` are the collection's options and indexes, for `put_back`."""

    records: int
    sha256: str
    shape: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a backup, by collection. `source` is the name of the source, `at` is ISO."""

    source: str
    at: str
    dumps: Mapping[str, Dump]

    def proof(self, folder: Path, collection: str) -> Backup:
        """The note about one collection, once the backup in `folder` was read again."""
        dump = self.dumps[collection]
        content = TableDigest(dump.records, dump.sha256)
        return Backup(str(folder.resolve()), content, dump.shape, self.at)


_MANIFEST: Final = TypeAdapter(Manifest)

Tell = Callable[[str, int, int], None]
"""Told now and then: the collection, how many records of it are done, and of about how many."""


def preview_backup(source: DatabaseSource | FolderSource) -> Mapping[str, int]:
    """About how many records of which collections would be dumped."""
    return {collection: source.count(collection) for collection in _collections(source)}


def backup(
    destination: Destination,
    source: DatabaseSource | FolderSource,
    folder: Path,
    tell: Tell,
) -> Manifest:
    """Make a backup in a new folder, and note it as proof for `run`, `rollback` and `retire`.
    Raises `BackupUnusable`, `SourceUnusable`, `StoreUnavailable`."""
    manifest = _make_backup(source, folder, destination.now(), tell)
    for collection in manifest.dumps:
        proofs = Proofs(destination.notes, source.name, collection)
        proofs.backed_up(manifest.proof(folder, collection))
    return manifest


def intact_backup(proofs: Proofs, source: str) -> Backup:
    """The last backup, once all its bytes were read and found to be what was backed up. Raises
    `NotProven`, `SourceUnusable`."""
    made = proofs.backup()
    if made is None:
        raise NotProven(
            f"There is no backup of {source} that this store knows of. "
            "Make one: ticketbook migrate backup --source … --to DIR"
        )
    if digest_of(backed_up(made)) != made.content:
        raise NotProven(
            f"The backup in {made.folder} does not hold what was backed up on {made.at}. "
            "Nothing was changed. Make a new one, or bring the folder back as it was."
        )
    return made


def backed_up(made: Backup) -> Iterator[bytes]:
    """The records of `ticket_1` in a backup."""
    return FolderSource(made.folder, Path(made.folder)).records(TICKETS)


def _collections(source: DatabaseSource | FolderSource) -> Iterator[str]:
    for collection in (TICKETS, USERS):
        if collection == TICKETS or source.has(collection):
            yield collection


def _make_backup(
    source: DatabaseSource | FolderSource, folder: Path, at: str, tell: Tell
) -> Manifest:
    """Dump `ticket_1` and, where there are any, `users`; read the dumps again and compare.

    The manifest is written last: a folder without one is no backup, and may be written again.
    """
    folder = folder.resolve()
    _make_room(folder, source.name)
    dumps = {name: _dump(source, name, folder, tell) for name in _collections(source)}
    manifest = Manifest(source.name, at, dumps)
    for collection, dump in dumps.items():
        _check(folder, collection, dump)
    with _writing(folder / MANIFEST) as write:
        write(_MANIFEST.dump_json(manifest, indent=2))
    return manifest


def _dump(source: DatabaseSource | FolderSource, collection: str, folder: Path, tell: Tell) -> Dump:
    total, count, digest = source.count(collection), 0, sha256()
    with _writing(folder / f"{collection}.bson") as write:
        for record in source.records(collection):
            write(record)
            digest.update(record)
            count += 1
            if count % _TELL_EVERY == 0:
                tell(collection, count, max(total, count))
    tell(collection, count, count)
    shape = (
        shape_of(source.collection(collection)) if isinstance(source, DatabaseSource) else _NO_SHAPE
    )
    return Dump(count, digest.hexdigest(), shape)


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a new file for its owner alone; it is durable when the block ends."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> BackupUnusable:
    return BackupUnusable(f"The backup cannot be written: {error}. Name another folder in --to.")


def _make_room(folder: Path, source_name: str) -> None:
    ours = {f"{collection}.bson" for collection in (TICKETS, USERS)}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise _unwritable(error) from error
    if source_name == str(folder) or MANIFEST in names or not names <= ours:
        raise BackupUnusable(
            f"{folder} holds something already. Name a new folder in --to: nothing is overwritten."
        )


def _check(folder: Path, collection: str, dump: Dump) -> None:
    content = digest_of(documents(folder / f"{collection}.bson"))
    if (content.records, content.sha256) != (dump.records, dump.sha256):
        raise BackupUnusable(
            f"{folder / collection}.bson does not hold what its manifest says: {content.records} "
            f"records instead of {dump.records}, or other ones. Make a new backup."
        )
