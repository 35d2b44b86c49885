"""The users of the old system, and their organisations and tickets, from their own collection."""

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
from infrastructure.mongodb.client import Document, connect
from infrastructure.old_records import OLD_RECORDS

ANSWER_SECONDS: Final = 2.0
"""Seconds that the users' database has for one answer, including the search for a server."""

_NO_ANSWER: Final = "The user database does not answer. Try again in a moment."
_OBJECT_ID: Final = re.compile("[0-9a-fA-F]{24}")


@dataclass(frozen=True, slots=True)
class Access:
    """The access of a user to one system: the organisation, and the ticket with the user's features
    there, or None."""

    org_id: str
    ticket_id: str | None


@dataclass(frozen=True, slots=True)
class LegacyUser:
    """One user. `systems` maps the name of a system to the user's access to it."""

    id: str
    systems: Mapping[str, Access]


class LegacyUsers:
    """The collection `users` as mongoose wrote it. It is never written, and password hashes are
    never read. Other fields of a user may hold any value. Blocks for at most `ANSWER_SECONDS`. Safe
    from any thread."""

    def __init__(self, database: Database[Document]) -> None:
        self._users = database.get_collection("users", OLD_RECORDS)

    def find(self, user_id: str) -> LegacyUser | None:
        """The user as stored now; None if there is none. Raises `LegacyUsersUnavailable`."""
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                document = self._users.find_one({"_id": ObjectId(user_id)}, {"hashedPassword": 0})
        except PyMongoError as error:
            raise LegacyUsersUnavailable(_NO_ANSWER) from error
        if document is None:
            return None
        systems = {name: access for name, part in document.items() if (access := _access(part))}
        return LegacyUser(str(document["_id"]), systems)

    def check(self) -> None:
        """Raises `LegacyUsersUnavailable` when the database does not answer."""
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                self._users.find_one({}, {"_id": 1})  # what it may not read is no use either
        except PyMongoError as error:
            raise LegacyUsersUnavailable(_NO_ANSWER) from error


@contextmanager
def open_users(store: MongoDBStore) -> Iterator[LegacyUsers]:
    """The users in that database, over connections of their own, so that an outage delays no other
    requests. Nothing is sent before the first query."""
    with connect(store.uri, at_once=False) as client:
        yield LegacyUsers(client.get_database(store.database))


def object_id(value: object) -> str | None:
    """The 24 hex digits of an id that is an ObjectId or text; None for any other value."""
    text = str(value) if isinstance(value, ObjectId | str) else ""
    return text.lower() if _OBJECT_ID.fullmatch(text) else None


def _access(part: Any) -> Access | None:
    """The access that a field of a user's document gives to a system, if it is one."""
    if not isinstance(part, dict) or (org_id := object_id(part.get("orgId"))) is None:
        return None
    return Access(org_id, object_id(part.get("ticket")))
