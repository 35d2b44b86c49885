"""Where the records of the old system are read from: its MongoDB database, or a folder of dumps.

Nothing here ever writes. Records are the bytes of BSON documents as they stand in the source, so
that digests are of the source and not of somebody's reading of it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from domain.errors import SourceUnusable
from infrastructure.configuration.addresses import parse_mongodb
from infrastructure.migration.reading import reading, up_to_date
from infrastructure.mongodb.client import DURABLE, connect

TICKETS: Final = "ticket_1"
"""The collection of the tickets that are migrated."""

USERS: Final = "users"

_RAW: Final[Any] = CodecOptions(document_class=RawBSONDocument)
_LINES: Final = json_util.JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_ENDINGS: Final = (".bson", ".json", ".jsonl")
_BATCH: Final = 2_000
"""Records that are fetched together: left alone, the server sends 16 MB at a time."""

_LENGTH: Final = 4
_SMALLEST: Final = 5
_LARGEST: Final = 16 * 1024 * 1024 + 16 * 1024
"""Bytes; a document of MongoDB is no longer."""


class Source(Protocol):
    """`name` is for people, and tells sources apart; it holds no password."""

    name: str

    def records(self, collection: str) -> Iterator[bytes]:
        """The bytes of each document, in the order of the source. Raises `SourceUnusable`, also
        half way, and when there is no such collection or nothing in it."""

    def has(self, collection: str) -> bool:
        """Whether there is such a collection, with anything in it."""

    def count(self, collection: str) -> int:
        """About how many records there are. Raises `SourceUnusable` for a dump cut short."""


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    """Collections of a MongoDB database."""

    name: str
    database: Database[RawBSONDocument]

    def collection(self, name: str) -> Collection[RawBSONDocument]:
        return self.database[name]

    def records(self, collection: str) -> Iterator[bytes]:
        empty = True
        with reading(self.name), up_to_date(self.database.client) as session:
            # with `_RAW` pymongo makes an object of each record in them first
            plain: CodecOptions[Any] = CodecOptions()
            documents = self.collection(collection).with_options(codec_options=plain)
            batches: Iterable[Any] = documents.find_raw_batches(
                sort=[("$natural", 1)], batch_size=_BATCH, session=session
            )
            for batch in batches:
                for record in _split(batch):
                    empty = False
                    yield record
        if empty:
            raise SourceUnusable(
                f"There is nothing in the collection {collection} of {self.name}. Is it the right "
                "database?"
            )

    def has(self, collection: str) -> bool:
        return self.count(collection) > 0

    def count(self, collection: str) -> int:
        with reading(self.name):
            return self.collection(collection).estimated_document_count()


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Dumps in a folder, as mongodump or mongoexport write them."""

    name: str
    folder: Path

    def records(self, collection: str) -> Iterator[bytes]:
        return documents(self._path(collection))

    def has(self, collection: str) -> bool:
        path = self._find(collection)
        return path is not None and path.stat().st_size > 0

    def count(self, collection: str) -> int:
        path = self._path(collection)
        with _reading(path) as file:
            if path.suffix == ".bson":
                return _count(file, path)
            return sum(1 for line in file if line.strip())

    def _path(self, collection: str) -> Path:
        if path := self._find(collection):
            return path
        raise SourceUnusable(
            f"There is no {collection}.bson and no {collection}.json in {self.folder}. Name the "
            "folder that holds the dumps."
        )

    def _find(self, collection: str) -> Path | None:
        paths = (self.folder / f"{collection}{ending}" for ending in _ENDINGS)
        return next((path for path in paths if path.is_file()), None)


def documents(path: Path) -> Iterator[bytes]:
    """The documents of a dump, as bytes. Raises `SourceUnusable`, also half way."""
    empty = True
    with _reading(path) as file:
        for record in _bson(file.read, path) if path.suffix == ".bson" else _json(file, path):
            empty = False
            yield record
    if empty:
        raise SourceUnusable(f"{path} is empty. Make the dump again.")


def database_of(source: DatabaseSource | FolderSource, doing: str) -> DatabaseSource:
    """The source, if it is a database; a folder of dumps cannot be done `doing` to. Raises
    `SourceUnusable`."""
    if isinstance(source, DatabaseSource):
        return source
    raise SourceUnusable(
        f"{source.name} is a folder of dumps, and cannot be {doing}. Name the old system's "
        "database: --source mongodb://HOST/DB"
    )


@contextmanager
def open_source(address: str) -> Iterator[DatabaseSource | FolderSource]:
    """The source at `mongodb://HOST/DB`, or in a folder. Raises `ConfigurationError` for an
    address that is none, `SourceUnusable` for one where nothing answers."""
    if not address.startswith(("mongodb://", "mongodb+srv://")):
        folder = Path(address)
        if not folder.is_dir():
            # an address without its beginning may hold a password
            shown = "--source" if "@" in address else address
            raise SourceUnusable(
                f"{shown} is no folder. Name a folder of dumps, or mongodb://HOST/DB."
            )
        yield FolderSource(str(folder.resolve()), folder)
        return
    store = parse_mongodb("--source", address)
    name = f"{address.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
    with connect(store.uri) as client:
        with reading(name):
            client.admin.command("ping")
        database: Any = client.get_database(
            store.database,
            codec_options=_RAW,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=DURABLE,
        )
        yield DatabaseSource(name, database)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror}.") from error


def _split(batch: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(batch):
        end = place + int.from_bytes(batch[place : place + _LENGTH], "little")
        yield batch[place:end]
        place = end


def _bson(read: Callable[[int], bytes], path: Path) -> Iterator[bytes]:
    place = 0
    while head := read(_LENGTH):
        length = int.from_bytes(head, "little")
        record = head + (read(length - _LENGTH) if _LENGTH < length <= _LARGEST else b"")
        if len(record) != length or record[-1:] != b"\0" or length < _SMALLEST:
            raise _damaged(path, place)
        yield record
        place += length


def _count(file: BinaryIO, path: Path) -> int:
    """How many documents a dump of BSON holds, by their lengths alone."""
    count, place, size = 0, 0, path.stat().st_size
    while place < size:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if not _SMALLEST <= length <= min(_LARGEST, size - place):
            raise _damaged(path, place)
        count, place = count + 1, place + length
        file.seek(place)
    return count


def _damaged(path: Path, place: int) -> SourceUnusable:
    return SourceUnusable(
        f"{path} is cut short or damaged at byte {place:,}: no whole document stands there. Make "
        "the dump again."
    )


def _json(lines: Iterable[bytes], path: Path) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json_util.loads(line, json_options=_LINES)
            if not isinstance(document, dict):
                raise ValueError("it is no document")
            yield bson.encode(document)
        except (ValueError, TypeError, OverflowError, RecursionError, BSONError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise SourceUnusable(
                f"Line {number:,} of {path} is no document of extended JSON ({why}). Export one "
                "document per line, as mongoexport does without --jsonArray."
            ) from error
