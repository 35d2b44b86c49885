"""The old backend's tokens: a signed JWT that names a user and need not expire."""

import json
from collections.abc import Mapping
from typing import Any, Final

import jwt
from jwt.algorithms import HMACAlgorithm

from domain.log.ports import Clock
from infrastructure.legacy_access.users import object_id

LONGEST_TOKEN: Final = 8192
"""Most characters of a token."""


class TokenRefused(Exception):
    """The token names no user. The message is the old backend's own."""


class LegacyTokens:
    """Verifies HS256 tokens that claim `userId`. Never blocks; safe from any thread."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._key = secret.encode()
        self._clock = clock
        self._signatures = jwt.PyJWS(algorithms=[])
        self._signatures.register_algorithm("HS256", _HS256(HMACAlgorithm.SHA256))

    def user_id(self, token: str) -> str:
        """The user that this token names (24 hex digits); raises `TokenRefused`."""
        claims = self._claims(token)
        if not self._in_time(claims):
            raise TokenRefused("Authentication failed")
        if not claims.get("userId"):
            raise TokenRefused("Invalid token")
        user_id = object_id(claims["userId"])
        if user_id is None:
            raise TokenRefused("Authentication failed")
        return user_id

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            if len(token) > LONGEST_TOKEN:
                raise ValueError("longer than any token of the old backend")
            claims = json.loads(self._signatures.decode(token, self._key, algorithms=["HS256"]))
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenRefused("Authentication failed") from None
        if not isinstance(claims, dict):
            raise TokenRefused("Authentication failed")
        return claims

    def _in_time(self, claims: Mapping[str, Any]) -> bool:
        """True if `exp` and `nbf`, where the token has them, allow it now."""
        now = self._clock().timestamp()
        until, since = claims.get("exp", now + 1), claims.get("nbf", now)
        times = all(type(time) in (int, float) for time in (until, since))
        return times and since <= now < until


class _HS256(HMACAlgorithm):
    """HS256 with a secret of any length, as tokens of the old secret must go on working."""

    def check_key_length(self, key: bytes) -> None:
        return None
