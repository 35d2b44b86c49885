"""Notes on MongoDB: a document each in `notes`: `{_id: name, value: JSON}`."""

import json
from typing import Any

from pymongo.database import Database

from infrastructure.mongodb.client import Document
from infrastructure.mongodb.failures import answering


class MongoDBNotes:
    """`Notes` in the collection `notes`."""

    def __init__(self, database: Database[Document]) -> None:
        self._notes = database["notes"]

    def find(self, name: str) -> Any:
        with answering():
            document = self._notes.find_one({"_id": name})
        return json.loads(document["value"]) if document else None

    def keep(self, name: str, value: Any) -> None:
        with answering():
            self._notes.replace_one({"_id": name}, {"value": json.dumps(value)}, upsert=True)

    def forget(self, name: str) -> None:
        with answering():
            self._notes.delete_one({"_id": name})
