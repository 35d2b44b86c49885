"""What MongoDB said when it refused a command, and the privilege that its user lacks."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

_NOT_ALLOWED: Final = frozenset({13, 8000})
"""`Unauthorized`, and `AtlasError`, as a hosted MongoDB says it."""

_VALIDATION: Final = 121
"""The server's error code for a document that breaks the validator of its collection."""

_COMMAND: Final = re.compile(r'not authorized on (\S+) to execute command \{ (\w+): "?([^",} ]+)')
_ATLAS: Final = re.compile(r"not allowed to do action \[(\w+)\] on \[([^\]]+)\]")

_ACTIONS: Final[Mapping[str, str]] = {
    "create": "createCollection",
    "createIndexes": "createIndex",
    "drop": "dropCollection",
    "renameCollection": "renameCollectionSameDB",
    "delete": "remove",
    "findAndModify": "update",
    "aggregate": "find",
    "count": "find",
}
"""The privilege that a command needs, where it is not called like the command."""


def is_not_allowed(error: OperationFailure) -> bool:
    """Whether the user lacks a privilege."""
    return error.code in _NOT_ALLOWED


def breaks_validator(error: OperationFailure) -> bool:
    """Whether the validator of a collection refused a document."""
    return any(refused.get("code") == _VALIDATION for refused in _writes(error))


def reason_of(error: OperationFailure) -> str:
    """The words of MongoDB, without the documents that it refused."""
    said = (error.details or {}).get("errmsg")  # the reasons of a bulk write stand elsewhere
    reasons = [said] if said else [refused.get("errmsg") for refused in _writes(error)]
    return str(next(filter(None, reasons), f"error {error.code}"))


def missing_privilege(error: OperationFailure) -> str | None:
    """The privilege to grant, in words, like "the action collMod on ticketbook.tickets"; None where
    the server does not say so."""
    if not is_not_allowed(error):
        return None
    words = reason_of(error)
    if matched := _ATLAS.search(words):
        return f"the action {matched[1]} on {matched[2]}"
    if not (matched := _COMMAND.search(words)):
        return None
    database, command, collection = matched.groups()
    action = _ACTIONS.get(command, command)
    if "bypassDocumentValidation: true" in words:
        action = "bypassDocumentValidation"
    named = collection if command == "renameCollection" else f"{database}.{collection}"
    return f"the action {action} on {database if collection.isdigit() else named}"


def _writes(error: OperationFailure) -> list[dict[str, Any]]:
    return list((error.details or {}).get("writeErrors") or ())
