"""The version of the collections in a database."""

from typing import Final

from pymongo import ReturnDocument
from pymongo.database import Database

from domain.errors import StoreTooNew, StoreTooOld
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering

SCHEMA: Final = 2
"""Version of the collections, kept as `{_id: "schema", version}` in the collection `ticketbook`."""


def check_schema(database: Database[Document]) -> None:
    """Mark a new database with our version; raise `StoreTooNew` if a newer program wrote it,
    `StoreTooOld` if one from before the first release did."""
    with answering():
        document = database["ticketbook"].find_one_and_update(
            {"_id": "schema"},
            {"$setOnInsert": {"version": SCHEMA}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    if document:
        _check(document["version"], database.name)


def has_schema(database: Database[Document]) -> bool:
    """True if the database was ever opened. Raises like `check_schema`, and changes nothing."""
    with answering():
        document = database["ticketbook"].find_one({"_id": "schema"})
    if document:
        _check(document["version"], database.name)
    return document is not None


def _check(version: int, name: str) -> None:
    if version > SCHEMA:
        raise StoreTooNew(
            f"The MongoDB database {name} has schema {version}; "
            f"this ticketbook understands {SCHEMA}. "
            "Upgrade ticketbook, or open the database with the version that wrote it."
        )
    if version < SCHEMA:
        raise StoreTooOld(
            f"The MongoDB database {name} has schema {version}, of a time before "
            f"the first release; this ticketbook understands {SCHEMA}. "
            "Start with a new database: name it in TICKETBOOK_STORE."
        )
