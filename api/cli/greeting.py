"""The lines with which `ticketbook serve` begins: where it serves, on what, for whom, and what it
lacks."""

import sys
from collections.abc import Iterator
from importlib.metadata import version

from api.cli.output import say
from api.cli.token import EVERYTHING, EXAMPLE_ORG, new_token
from api.use_cases.service import Service
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.configuration.settings import (
    AUTH_SECRET,
    LEGACY_JWT_SECRET,
    SIGNING_KEY,
    OpenIdConnect,
    Settings,
)


def greet(settings: Settings, service: Service, url: str) -> None:
    """Say on stderr what was started. A token is printed on a terminal alone: elsewhere it would
    stand in a file or in a collector of logs, good for every scope."""
    say(f"Ticketbook serves {url}")
    say(f"API documentation: {url}/docs")
    for line in _facts(settings, service):
        say(line)
    if settings.auth is not None:
        return
    if not sys.stderr.isatty():
        say(f"Make a token: ticketbook token --sub you --org {EXAMPLE_ORG} --scope '{EVERYTHING}'")
        return
    token = new_token(settings, "you", EXAMPLE_ORG, EVERYTHING, hours=12, clock=service.clock)
    say("Try it (the token is good for 12 hours):\n")
    say(
        f"curl -i {url}/v1/tickets -H 'Authorization: Bearer {token}' "
        "-H 'Content-Type: application/json' "
        """-d '{"name": "Night shift", "system": "revolution_counter_1", """
        """"features": ["get_all", "create_downtime_log"]}'\n""",
        unmasked=True,
    )


def _facts(settings: Settings, service: Service) -> Iterator[str]:
    systems = service.catalogue.current().systems
    features = sum(len(system.features) for system in systems.values())
    yield f"Version: {version('ticketbook')}"
    yield f"Store: {_store(settings)}, at position {service.log.head():,}"
    yield f"Catalogue: {settings.catalogue}, {len(systems)} systems, {features} features"
    yield f"Callers: {_callers(settings)}"
    if settings.legacy_jwt_secret is None:
        yield f"Old callers: not answered ({LEGACY_JWT_SECRET.name} is not set)"
    else:
        yield f"Old callers: answered until {settings.legacy_sunset.isoformat()}"
    if settings.signing_key is None and not isinstance(settings.store, SQLiteStore):
        yield f"Missing: {SIGNING_KEY.name}; heads and exports cannot be signed"


def _store(settings: Settings) -> str:
    store = settings.store
    if isinstance(store, SQLiteStore):
        return f"SQLite, {store.path}"
    return f"MongoDB, database {store.database}"  # its address may hold a password


def _callers(settings: Settings) -> str:
    match settings.auth:
        case None:
            return (
                f"tokens signed with the secret that was made beside the store "
                f"({AUTH_SECRET.name} is not set)"
            )
        case OpenIdConnect(issuer=issuer):
            return f"tokens of {issuer}"
        case _:
            return f"tokens signed with {AUTH_SECRET.name}"
