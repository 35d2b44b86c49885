"""Which version of the collections a database holds."""

from typing import Final

from pymongo import ReturnDocument
from pymongo.database import Database

from domain.errors import StoreTooNew
from infrastructure.mongodb.client import Document, answering

SCHEMA: Final = 1
"""Version of the collections, kept as `{_id: "schema", version}` in the collection `ticketbook`."""


def check_schema(database: Database[Document]) -> None:
    """Mark a new database with our version; raise `StoreTooNew` if a newer program wrote it."""
    with answering():
        found = database["ticketbook"].find_one_and_update(
            {"_id": "schema"},
            {"$setOnInsert": {"version": SCHEMA}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    if found and found["version"] > SCHEMA:
        raise StoreTooNew(
            f"The MongoDB database {database.name} has schema {found['version']}; "
            f"this ticketbook understands {SCHEMA}. "
            "Upgrade ticketbook, or open the database with the version that wrote it."
        )
