"""Settings: the one module that reads environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import (
    MongoDBStore,
    Store,
    parse_mongodb,
    parse_origins,
    parse_store,
    parse_web_address,
)

PREFIX: Final = "TICKETBOOK_"

DEFAULT_STORE: Final = "sqlite:///var/ticketbook.db"

BUNDLED: Final = Path(__file__).parents[1] / "catalogue.toml"
"""The catalogue that ships with the program."""

SHORTEST_SECRET: Final = 32
"""Least bytes of a secret: as many as the output of HMAC-SHA256 (RFC 7518, section 3.2)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. `default` is its text for people; None means unset."""

    name: str
    type: str
    default: str | None
    meaning: str


STORE: Final = Setting(
    "TICKETBOOK_STORE",
    "store address",
    DEFAULT_STORE,
    "Where events are kept: sqlite:///PATH, or mongodb://HOST/DB?replicaSet=NAME.",
)
CATALOGUE: Final = Setting(
    "TICKETBOOK_CATALOGUE",
    "path",
    "the bundled file",
    "The TOML file that lists the systems and their features.",
)
AUTH_SECRET: Final = Setting(
    "TICKETBOOK_AUTH_SECRET",
    "secret",
    None,
    "Signs and checks /v1 tokens with HS256; at least 32 bytes.",
)
OIDC_ISSUER: Final = Setting(
    "TICKETBOOK_OIDC_ISSUER",
    "https address",
    None,
    "Accept /v1 tokens (RS256, ES256) of this OpenID Connect issuer instead of a secret.",
)
OIDC_AUDIENCE: Final = Setting(
    "TICKETBOOK_OIDC_AUDIENCE",
    "text",
    None,
    "The audience that tokens of the OpenID Connect issuer must name.",
)
OIDC_ORG_CLAIM: Final = Setting(
    "TICKETBOOK_OIDC_ORG_CLAIM",
    "text",
    "org",
    "The claim of the issuer's tokens that names the organisation.",
)
OIDC_SCOPE_CLAIM: Final = Setting(
    "TICKETBOOK_OIDC_SCOPE_CLAIM",
    "text",
    "scope",
    "The claims of the issuer's tokens that hold scopes, separated by spaces.",
)
CORS_ORIGINS: Final = Setting(
    "TICKETBOOK_CORS_ORIGINS",
    "web origins",
    None,
    "Origins, separated by commas, whose pages may call /v1; unset, only their own.",
)
SIGNING_KEY: Final = Setting(
    "TICKETBOOK_SIGNING_KEY",
    "path",
    "SQLite: one made beside the file",
    "The Ed25519 private key (PEM) that heads of the log and exports are signed with.",
)
LEGACY_JWT_SECRET: Final = Setting(
    "TICKETBOOK_LEGACY_JWT_SECRET",
    "secret",
    None,
    "Checks legacy tokens with HS256; unset, the legacy routes are off.",
)
LEGACY_USERS: Final = Setting(
    "TICKETBOOK_LEGACY_USERS",
    "MongoDB address",
    "the store, when it is MongoDB",
    "The database that holds the legacy users.",
)
LEGACY_SUNSET: Final = Setting(
    "TICKETBOOK_LEGACY_SUNSET",
    "date",
    "2027-12-31",
    "The day from which the legacy routes may be gone; legacy answers announce it.",
)
LEGACY_ORIGINS: Final = Setting(
    "TICKETBOOK_LEGACY_ORIGINS",
    "web origins",
    None,
    "Origins, separated by commas, whose pages may call the legacy routes; unset, only their own.",
)

SETTINGS: Final = (
    STORE,
    CATALOGUE,
    AUTH_SECRET,
    OIDC_ISSUER,
    OIDC_AUDIENCE,
    OIDC_ORG_CLAIM,
    OIDC_SCOPE_CLAIM,
    CORS_ORIGINS,
    SIGNING_KEY,
    LEGACY_JWT_SECRET,
    LEGACY_USERS,
    LEGACY_SUNSET,
    LEGACY_ORIGINS,
)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """Tokens are signed and checked with one secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenIdConnect:
    """Tokens come from an issuer that publishes its keys. `org_claim` and `scope_claims` are the
    names of claims that issuers name differently."""

    issuer: str
    audience: str
    org_claim: str = "org"
    scope_claims: tuple[str, ...] = ("scope",)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `auth` is None if neither a secret nor an issuer is configured."""

    store: Store
    catalogue: Path
    auth: SharedSecret | OpenIdConnect | None
    cors_origins: tuple[str, ...]
    signing_key: Path | None
    legacy_jwt_secret: str | None = field(repr=False)
    legacy_users: MongoDBStore | None
    legacy_sunset: date
    legacy_origins: tuple[str, ...]


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environ`, which is the only source.

    Raises `ConfigurationError`, naming the variable and what to do, never quoting a secret.
    """
    _refuse_unknown(environ)
    values = {setting: _value_of(environ, setting) for setting in SETTINGS}
    store = parse_store(STORE.name, values[STORE] or DEFAULT_STORE)
    return Settings(
        store=store,
        catalogue=Path(values[CATALOGUE] or BUNDLED),
        auth=_auth(values),
        cors_origins=parse_origins(CORS_ORIGINS.name, values[CORS_ORIGINS] or ""),
        signing_key=Path(key) if (key := values[SIGNING_KEY]) else None,
        legacy_jwt_secret=values[LEGACY_JWT_SECRET],
        legacy_users=_legacy_users(values, store),
        legacy_sunset=_date(LEGACY_SUNSET, values),
        legacy_origins=parse_origins(LEGACY_ORIGINS.name, values[LEGACY_ORIGINS] or ""),
    )


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [setting.name for setting in SETTINGS]
    for name in environ:
        if name.upper().startswith(PREFIX) and name not in known:
            close = get_close_matches(name.upper()[:200], known, n=1, cutoff=0.7)
            hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
            raise ConfigurationError(f"There is no setting {name}. {hint}")


def _value_of(environ: Mapping[str, str], setting: Setting) -> str | None:
    value = environ.get(setting.name)
    if value is not None and not value.strip():
        raise ConfigurationError(f"{setting.name} is set but empty. Give it a value, or unset it.")
    if value is not None and value.encode(errors="replace").decode() != value:
        raise ConfigurationError(f"{setting.name} is not UTF-8 text. Write it as UTF-8.")
    return value


def _auth(values: Mapping[Setting, str | None]) -> SharedSecret | OpenIdConnect | None:
    secret, issuer, audience = values[AUTH_SECRET], values[OIDC_ISSUER], values[OIDC_AUDIENCE]
    if not issuer:
        _refuse_claims_of_nobody(values)
    if secret and (issuer or audience):
        raise ConfigurationError(
            f"{AUTH_SECRET.name} and {OIDC_ISSUER.name if issuer else OIDC_AUDIENCE.name} "
            "contradict each other: tokens are checked with a secret or by an issuer. Unset one."
        )
    if secret:
        return _shared_secret(secret)
    if issuer and audience:
        return OpenIdConnect(
            parse_web_address(OIDC_ISSUER.name, issuer),
            audience,
            (values[OIDC_ORG_CLAIM] or str(OIDC_ORG_CLAIM.default)).strip(),
            tuple((values[OIDC_SCOPE_CLAIM] or str(OIDC_SCOPE_CLAIM.default)).split()),
        )
    if issuer or audience:
        have, lack = (OIDC_ISSUER, OIDC_AUDIENCE) if issuer else (OIDC_AUDIENCE, OIDC_ISSUER)
        raise ConfigurationError(f"{have.name} is set without {lack.name}. Set both, or neither.")
    return None


def _refuse_claims_of_nobody(values: Mapping[Setting, str | None]) -> None:
    for setting in (OIDC_ORG_CLAIM, OIDC_SCOPE_CLAIM):
        if values[setting]:
            raise ConfigurationError(
                f"{setting.name} names a claim of an issuer's tokens, and there is no issuer. "
                f"Set {OIDC_ISSUER.name}, or unset it."
            )


def _shared_secret(secret: str) -> SharedSecret:
    if len(secret.encode()) < SHORTEST_SECRET:
        raise ConfigurationError(
            f"{AUTH_SECRET.name} is shorter than {SHORTEST_SECRET} bytes and could be guessed. "
            "Make one with: openssl rand -hex 32"
        )
    return SharedSecret(secret)


def _legacy_users(values: Mapping[Setting, str | None], store: Store) -> MongoDBStore | None:
    if address := values[LEGACY_USERS]:
        return parse_mongodb(LEGACY_USERS.name, address)
    if isinstance(store, MongoDBStore):
        return store
    if values[LEGACY_JWT_SECRET]:
        raise ConfigurationError(
            f"{LEGACY_JWT_SECRET.name} turns the legacy routes on, but nothing says where their "
            f"users are. Set {LEGACY_USERS.name} to mongodb://HOST/DB, or unset the secret."
        )
    return None


def _date(setting: Setting, values: Mapping[Setting, str | None]) -> date:
    try:
        return date.fromisoformat(values[setting] or setting.default or "")
    except ValueError:
        raise ConfigurationError(f"{setting.name} is not a date. Write it as 2027-12-31.") from None
