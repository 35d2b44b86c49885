"""Ids of tickets and jobs, and names of processes."""

import os
import socket
from uuid import uuid4


def new_id() -> str:
    """24 hexadecimal digits that no other id has; ids made a second or more later sort after it."""
    from bson import ObjectId  # most commands make no id

    return str(ObjectId())


def holder() -> str:
    """A name for this process, or for one task in it, that no other has: it holds leases."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
