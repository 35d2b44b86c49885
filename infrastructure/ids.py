"""Ids of tickets and jobs."""


def new_id() -> str:
    """24 hexadecimal digits that no other id has; ids made a second or more later sort after it."""
    from bson import ObjectId  # most commands make no id

    return str(ObjectId())
