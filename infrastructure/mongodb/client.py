"""Connections to MongoDB, with the guarantees that the stores rely on."""

from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.read_concern import ReadConcern

from domain import errors

Document = dict[str, Any]

DURABLE: Final = WriteConcern("majority", j=True, wtimeout=10_000)
"""An acknowledged write is in the journals of a majority: no failover loses it."""

SETTLED: Final = ReadConcern("majority")
"""Reads see only writes that cannot roll back."""

_TIMEZONE_AWARE: Final = CodecOptions[Document](tz_aware=True, uuid_representation=4)

CONNECT_SECONDS: Final = 5.0
"""Seconds in which a server must be found and reached."""

SOCKET_SECONDS: Final = 30.0
"""Seconds that a connection waits for an answer, where nothing else bounds that."""


def connect(uri: str, *, at_once: bool = True) -> MongoClient[Document]:
    """A client for `uri`. It connects at once, or else at its first use."""
    try:
        return MongoClient(
            uri,
            appname="ticketbook",
            serverSelectionTimeoutMS=CONNECT_SECONDS * 1_000,
            connectTimeoutMS=CONNECT_SECONDS * 1_000,
            socketTimeoutMS=SOCKET_SECONDS * 1_000,
            retryWrites=True,
            connect=at_once,
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise errors.ConfigurationError(f"The MongoDB address is not usable: {error}") from error


def database(client: MongoClient[Document], name: str) -> Database[Document]:
    """A database whose writes are durable and whose reads are settled."""
    return client.get_database(
        name,
        codec_options=_TIMEZONE_AWARE,
        read_preference=ReadPreference.PRIMARY,
        write_concern=DURABLE,
        read_concern=SETTLED,
    )
