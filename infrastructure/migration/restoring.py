"""Taking a collection out of the old system, and putting it back: the only writes there.

Nothing is dropped before its very bytes were looked at under a name that nobody writes to, and
nothing gets its name back before it was written whole and read again. So a kill at any moment
leaves a state from which asking again goes on.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from domain.errors import SourceChanged, SourceUnusable, StoreCorrupt
from infrastructure.migration.chunks import parts
from infrastructure.migration.reading import reading, up_to_date
from infrastructure.mongodb.refused import breaks_validator, is_not_allowed, reason_of

RETIRING: Final = "_retiring"
RESTORING: Final = "_restoring"
REHEARSAL: Final = "_rehearsal"
"""Endings of the names under which a collection stands while it is taken out, is put back, or while
that is tried beforehand."""

_RECORDS: Final = 1_000
"""Most records that are written together."""

_BYTES: Final = 8 * 1024 * 1024
"""Most bytes that are written together: a message to MongoDB may have 48 MB."""

_NAMESPACE_EXISTS: Final = 48
"""MongoDB's code for a name that is taken."""

Records = Collection[RawBSONDocument]


@dataclass(frozen=True, slots=True)
class TableDigest:
    """How many records a collection holds, and the SHA-256 of all their bytes in their order."""

    records: int
    sha256: str


def digest_of(records: Iterable[bytes]) -> TableDigest:
    count, digest = 0, sha256()
    for record in records:
        count += 1
        digest.update(record)
    return TableDigest(count, digest.hexdigest())


def raw(collection: Records) -> Iterator[bytes]:
    """The bytes of every record, in natural order."""
    with reading(collection.full_name), up_to_date(collection.database.client) as session:
        for record in collection.find(sort=[("$natural", 1)], session=session):
            yield bytes(record.raw)


def exists(collection: Records) -> bool:
    with reading(collection.full_name):
        return bool(collection.database.list_collection_names(filter={"name": collection.name}))


def shape_of(collection: Records) -> str:
    """Options and indexes of a collection, as extended JSON for `put_back`."""
    with reading(collection.full_name):
        listed = list(collection.database.list_collections(filter={"name": collection.name}))
        indexes = [
            {name: value for name, value in index.items() if name not in ("v", "ns")}
            for index in collection.list_indexes()
            if index["name"] != "_id_"
        ]
    options = listed[0]["options"] if listed else {}
    return json_util.dumps({"options": options, "indexes": indexes})


def is_out(collection: Records) -> bool:
    """Whether the collection is gone, under its own name and under that it has on its way out."""
    return not exists(collection) and not exists(_beside(collection, RETIRING))


def shape_now(collection: Records) -> str:
    """`shape_of` the collection, also where it is on its way out."""
    aside = _beside(collection, RETIRING)
    return shape_of(collection if exists(collection) else aside)


def take_out(collection: Records, expected: TableDigest) -> bool:
    """Drop the collection if it holds exactly `expected`. Raises `SourceChanged`, with everything
    as it was, when it holds something else. False when it is gone already."""
    name, aside = collection.name, _beside(collection, RETIRING)
    if is_out(collection):
        return False
    if exists(aside) and exists(collection):
        raise _written_to(name, aside.name)
    with reading(collection.full_name):
        if not exists(aside):
            collection.rename(aside.name)
        present = digest_of(raw(aside))
        if present != expected:
            _rename_back(aside, name)
            raise SourceChanged(
                f"{name} holds {present.records} records, and they are not the {expected.records} "
                "that were verified. They are left as they are: bring the tickets up to date with "
                "ticketbook migrate follow, then back up and verify again."
            )
        aside.drop()
    return True


def rehearse(
    collection: Records, records: Iterable[bytes], expected: TableDigest, shape: str
) -> None:
    """Do all that `put_back` does, under names that nobody uses, and clean up: the way back is
    shown to be open before anything is dropped. Raises `SourceUnusable`, naming what MongoDB said,
    and `StoreCorrupt`; nothing has changed then."""
    with reading(collection.full_name), _trial(collection) as trial:
        _build(trial, collection.name, records, expected, shape)


def rehearse_rename(collection: Records) -> None:
    """Show that a collection can be renamed in its database. Raises `SourceUnusable`."""
    with reading(collection.full_name), _trial(collection) as trial:
        trial.drop()
        trial.database.create_collection(trial.name)


@contextmanager
def _trial(collection: Records) -> Iterator[Records]:
    """A collection under a name that nobody uses. It is renamed and dropped at the end."""
    trial, renamed = _beside(collection, REHEARSAL), _beside(collection, RESTORING)
    try:
        yield trial
        renamed.drop()
        trial.rename(renamed.name)
    finally:
        trial.drop()
        renamed.drop()


def put_back(
    collection: Records, records: Iterable[bytes], expected: TableDigest, shape: str, kept_as: str
) -> bool:
    """Make the collection hold exactly `records`, which must add up to `expected`. If something
    else stands there, that is renamed to `kept_as`. False when nothing had to be done."""
    name, aside, built = (
        collection.name,
        _beside(collection, RETIRING),
        _beside(collection, RESTORING),
    )
    with reading(collection.full_name):
        if exists(aside) and not exists(collection):
            aside.rename(name)
        if exists(collection) and digest_of(raw(collection)) == expected:
            return False
        _beside(collection, REHEARSAL).drop()  # of one that was killed
        _build(built, name, records, expected, shape)
        if exists(collection):
            collection.rename(kept_as)
        _rename_back(built, name)
    return True


def _beside(collection: Records, ending: str) -> Records:
    return collection.database[collection.name + ending].with_options(
        collection.codec_options, write_concern=collection.write_concern
    )


def _build(
    built: Records, name: str, records: Iterable[bytes], expected: TableDigest, shape: str
) -> None:
    """Make `built` hold the records as `name` did, or leave nothing of it."""
    built.drop()
    try:
        _make(built, shape)
        insert = _inserting(built, shape)
        for part in parts(records, _RECORDS, _BYTES):
            insert([RawBSONDocument(record) for record in part])
        if digest_of(raw(built)) != expected:
            raise StoreCorrupt(
                f"The records that were written for {name} did not come back as the backup holds "
                "them. Nothing was replaced. Is the backup damaged? Compare its SHA-256 with its "
                "manifest."
            )
    except Exception:
        built.drop()
        raise


def _inserting(built: Records, shape: str) -> Callable[[list[RawBSONDocument]], object]:
    """Inserts records past a validator that is younger than they are, where the user may do that;
    else as the validator lets them in. Raises `SourceUnusable` when neither is possible."""
    if "validator" not in json_util.loads(shape)["options"]:
        return built.insert_many
    bypassing = True

    def insert(part: list[RawBSONDocument]) -> None:
        nonlocal bypassing
        try:
            built.insert_many(part, bypass_document_validation=bypassing)
        except OperationFailure as error:
            if bypassing and is_not_allowed(error):
                bypassing = False
                insert(part)
            elif breaks_validator(error):
                raise SourceUnusable(
                    f"Some records break the validator of their collection, which is younger than "
                    f"they are ({reason_of(error)}). They can only be put back by a user who may "
                    f"pass over it: grant the action bypassDocumentValidation on the database "
                    f"{built.database.name}, and run the command again. Nothing was changed."
                ) from error
            else:
                raise

    return insert


def _make(collection: Records, shape: str) -> None:
    wanted: dict[str, Any] = json_util.loads(shape)
    database = collection.database
    database.command("create", collection.name, **wanted["options"])
    if wanted["indexes"]:
        database.command("createIndexes", collection.name, indexes=wanted["indexes"])


def _rename_back(collection: Records, name: str) -> None:
    try:
        collection.rename(name)
    except OperationFailure as error:
        if error.code == _NAMESPACE_EXISTS:
            raise _written_to(name, collection.name) from error
        raise


def _written_to(name: str, aside: str) -> SourceChanged:
    return SourceChanged(
        f"Both {name} and {aside} are there: something wrote to {name} while it was away. Stop it, "
        f"bring what is in {name} into {aside}, drop {name}, rename {aside} to {name}, and start "
        "again."
    )
