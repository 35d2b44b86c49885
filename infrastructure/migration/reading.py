"""Reading the old system's MongoDB: never an older state than was seen before, and with errors in
plain words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from domain.errors import SourceUnusable, StoreUnavailable
from infrastructure.mongodb.failures import briefly, is_transient
from infrastructure.mongodb.refused import missing_privilege, reason_of


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn errors of MongoDB into `StoreUnavailable` and `SourceUnusable`. `name` tells people
    which database or collection was asked."""
    try:
        yield
    except PyMongoError as error:
        if is_transient(error):
            raise StoreUnavailable(
                f"The old system's MongoDB ({name}) does not answer: {briefly(error)}. Check the "
                "address, and that the server is up."
            ) from error
        if isinstance(error, OperationFailure):
            if privilege := missing_privilege(error):
                raise SourceUnusable(
                    f"The user of the old system's MongoDB ({name}) lacks {privilege}. Grant it, "
                    "and run the command again."
                ) from error
            raise SourceUnusable(
                f"The old system's MongoDB ({name}) refuses: {reason_of(error)}"
            ) from error
        raise


@contextmanager
def up_to_date(client: MongoClient[Any]) -> Iterator[ClientSession]:
    """A session whose reads see everything that was acknowledged before it began.

    Without it a read of what a majority has may show a moment before: older than a change that a
    change stream has shown already, or than the place where a stream begins.
    """
    with client.start_session(causal_consistency=True) as session:
        client.admin.command("ping", session=session)
        yield session
