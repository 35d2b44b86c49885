"""The old system's users: who they are to us, looked up in their own collection."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pymongo
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import PyMongoError

from domain.errors import LegacyUsersUnavailable
from infrastructure.configuration.addresses import MongoDBStore
from infrastructure.mongodb.client import OLD_RECORDS, Document, connect

ANSWER_SECONDS: Final = 2.0
"""How long the users' database has for one answer, finding a server of it included."""

_NO_ANSWER: Final = "The user database does not answer. Try again in a moment."
_OBJECT_ID: Final = re.compile("[0-9a-fA-F]{24}")


@dataclass(frozen=True, slots=True)
class Access:
    """What a user has in one system: the organisation, and the ticket that says what he may do
    there, or None."""

    org_id: str
    ticket_id: str | None


@dataclass(frozen=True, slots=True)
class LegacyUser:
    """One user; `systems` holds an `Access` by the name of its system."""

    id: str
    systems: Mapping[str, Access]


class LegacyUsers:
    """The collection `users` as mongoose wrote it. It is never written, and password hashes are
    never read. Nothing odd in a user's other fields keeps him out. Blocks for `ANSWER_SECONDS` at
    most; safe from any thread."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = database.get_collection("users", OLD_RECORDS)

    def find(self, user_id: str) -> LegacyUser | None:
        """The user as he is now. Raises `LegacyUsersUnavailable`."""
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                found = self._users.find_one({"_id": ObjectId(user_id)}, {"hashedPassword": 0})
        except PyMongoError as error:
            raise LegacyUsersUnavailable(_NO_ANSWER) from error
        if found is None:
            return None
        systems = {name: access for name, part in found.items() if (access := _access(part))}
        return LegacyUser(str(found["_id"]), systems)

    def check(self) -> None:
        """Raises `LegacyUsersUnavailable` when the database does not answer."""
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                self._users.database.command("ping")
        except PyMongoError as error:
            raise LegacyUsersUnavailable(_NO_ANSWER) from error


@contextmanager
def open_users(store: MongoDBStore) -> Iterator[LegacyUsers]:
    """The users in that database, over connections of their own: whatever becomes of it, nobody
    else's requests wait. Nothing is sent before the first look."""
    with connect(store.uri, at_once=False) as client:
        yield LegacyUsers(client.get_database(store.database))


def object_id(value: object) -> str | None:
    """The 24 hex digits of an id, as an ObjectId or as text; None for anything else."""
    text = str(value) if isinstance(value, ObjectId | str) else ""
    return text.lower() if _OBJECT_ID.fullmatch(text) else None


def _access(part: Any) -> Access | None:
    """A part of a user's document, if it gives him an organisation in a system."""
    if not isinstance(part, dict) or (org_id := object_id(part.get("orgId"))) is None:
        return None
    return Access(org_id, object_id(part.get("ticket")))
