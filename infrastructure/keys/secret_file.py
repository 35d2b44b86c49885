"""The secret a service makes for itself when none is configured, kept beside the SQLite file."""

import re
import secrets
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.configuration.settings import (
    AUTH_SECRET,
    OIDC_ISSUER,
    OpenIdConnect,
    Settings,
    SharedSecret,
)
from infrastructure.keys.private_file import read_or_make

_BYTES: Final = 32
"""Length of a new secret."""

_OURS: Final = re.compile(f"[0-9a-f]{{{2 * _BYTES}}}")


def auth_of(settings: Settings) -> SharedSecret | OpenIdConnect:
    """The configured check of tokens, or the one with the secret beside the SQLite file.

    That secret is made at the first call. A MongoDB store is shared by many processes on many
    machines, so there a secret must be configured: raises `ConfigurationError`.
    """
    if settings.auth:
        return settings.auth
    if isinstance(settings.store, SQLiteStore):
        path = settings.store.path
        return SharedSecret(read_or_make_secret(path.with_name(f"{path.name}.secret")))
    raise ConfigurationError(
        f"Nothing says how callers are checked. Set {AUTH_SECRET.name} (openssl rand -hex 32), "
        f"or {OIDC_ISSUER.name} and its audience."
    )


def read_or_make_secret(path: Path) -> str:
    """The secret in `path`; a new one is made if there is none. Processes that do so at the same
    time all get the same secret."""
    try:
        secret = read_or_make(path, lambda: f"{secrets.token_hex(_BYTES)}\n").strip()
    except OSError as error:
        raise ConfigurationError(
            f"The secret file {path} cannot be used: {error.strerror}. "
            f"Make its folder writable, or set {AUTH_SECRET.name}."
        ) from error
    if not _OURS.fullmatch(secret):
        raise ConfigurationError(
            f"{path} does not hold a secret of ours. Remove it and a new one is made; "
            "tokens signed with the old one end."
        )
    return secret
