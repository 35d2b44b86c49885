"""Ids of tickets and jobs."""

from bson import ObjectId


def new_id() -> str:
    """24 hexadecimal digits that no other id has; ids made a second or more later sort after it."""
    return str(ObjectId())
