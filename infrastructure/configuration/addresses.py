"""Parsing the addresses in settings into small types. A wrong one gets a helpful message.

No message quotes a MongoDB address: it may hold a password.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from domain.errors import ConfigurationError
from infrastructure.terminal import masked

_SQLITE: Final = "sqlite:///"
_MONGODB: Final = ("mongodb://", "mongodb+srv://")
_FORMS: Final = (
    "Write sqlite:///PATH (sqlite:////PATH from the root), or mongodb://HOST/DB?replicaSet=NAME."
)

LEAST_POOL: Final = 2
"""Least connections of a service to MongoDB: the stream of changes holds one."""


@dataclass(frozen=True, slots=True)
class SQLiteStore:
    """A store in one SQLite file."""

    path: Path


@dataclass(frozen=True, slots=True)
class MongoDBStore:
    """A store in a MongoDB database. `uri` may hold a password, and is kept out of `repr`."""

    uri: str = field(repr=False)
    database: str


Store = SQLiteStore | MongoDBStore


def parse_store(setting: str, address: str) -> Store:
    """The store at `address`; raises `ConfigurationError` naming `setting`."""
    if address.startswith(_MONGODB):
        store = parse_mongodb(setting, address)
        _check_pool(setting, address)
        return store
    if address.startswith("sqlite:"):
        return _parse_sqlite(setting, address)
    raise ConfigurationError(f"{setting} is not the address of a store. {_FORMS}")


def parse_mongodb(setting: str, address: str) -> MongoDBStore:
    """The database at `address`. Does not resolve hosts. Raises `ConfigurationError`."""
    if not address.startswith(_MONGODB):
        raise ConfigurationError(
            f"{setting} is not a MongoDB address. Write mongodb://HOST/DB?replicaSet=NAME."
        )
    if not _readable(address.partition("?")[0]):
        raise ConfigurationError(
            f"{setting} is a MongoDB address that cannot be read. Write "
            "mongodb://USER:PASSWORD@HOST:PORT/DB?replicaSet=NAME, with : / ? # [ ] @ % in the "
            "name and password percent-encoded."
        )
    if not _readable(address):
        raise ConfigurationError(
            f"{setting} has an option after the ? that MongoDB does not have, or a wrong value "
            "for one. Correct it or leave it out."
        )
    database = unquote(urlsplit(address).path.removeprefix("/"))
    if not database:
        raise ConfigurationError(
            f"{setting} names no database. Put its name after the host: mongodb://HOST/ticketbook"
        )
    if len(database.encode()) > 63 or set(database) & set('/\\. "$*<>:|?\0'):
        raise ConfigurationError(
            f"{setting} names a database in a way MongoDB does not allow. "
            "Use letters, digits, _ and -, up to 63 characters."
        )
    return MongoDBStore(address, database)


def _check_pool(setting: str, address: str) -> None:
    """Refuse a pool in which the stream of changes would take the only connection."""
    options = parse_qs(urlsplit(address).query)
    for name, values in options.items():
        size = int(values[-1]) if values[-1].isdecimal() else 0  # 0 is no limit
        if name.lower() == "maxpoolsize" and 0 < size < LEAST_POOL:
            raise ConfigurationError(
                f"{setting} has {name}={values[-1]}, and a service needs at least {LEAST_POOL} "
                "connections: one listens for changes. Raise it, or leave it out."
            )


def _readable(address: str) -> bool:
    from pymongo.errors import PyMongoError  # half a second that other stores do not wait for
    from pymongo.uri_parser import parse_uri

    try:
        parts = urlsplit(address)
        if parts.scheme == "mongodb":
            parse_uri(address, warn=False)
        return bool(parts.netloc)
    except (PyMongoError, ValueError):
        return False


def _parse_sqlite(setting: str, address: str) -> SQLiteStore:
    path = address.removeprefix(_SQLITE)
    if path == address:
        raise ConfigurationError(f"{setting} needs three slashes after sqlite: . {_FORMS}")
    if not path or path.endswith("/") or path == ":memory:":
        raise ConfigurationError(f"{setting} names no file. {_FORMS}")
    if "?" in path or "#" in path:
        raise ConfigurationError(
            f"{setting} takes no options for SQLite. Leave out everything from ? or # on."
        )
    return SQLiteStore(Path(path))


def parse_web_address(setting: str, address: str) -> str:
    """`address`, if it is an https address, or http on this machine. Raises
    `ConfigurationError`."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{setting} is not a web address. Write it as the issuer does: https://HOST/PATH"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{setting} must start with https:// : whoever can change what is read from there "
            "can make tokens. Plain http is for this machine alone."
        )
    return address


def parse_origins(setting: str, origins: str) -> tuple[str, ...]:
    """The web origins in a list separated by commas, as browsers send them."""
    return tuple(
        _origin(setting, origin.strip()) for origin in origins.split(",") if origin.strip()
    )


def _origin(setting: str, origin: str) -> str:
    try:
        parts = urlsplit(origin)
        parts.port  # noqa: B018  # a wrong port raises
    except ValueError:
        parts = urlsplit("")
    plain = parts.scheme in ("https", "http") and f"{parts.scheme}://{parts.netloc}" == origin
    if not plain or not parts.hostname or "@" in origin or "*" in origin:
        raise ConfigurationError(
            f"{setting} holds {masked(origin[:200])!r}, which is not an origin. Name each "
            "one in full, like https://app.example.org, with commas between; there is no wildcard."
        )
    return origin.lower()


def is_loopback(host: str) -> bool:
    """True if `host` can only be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
