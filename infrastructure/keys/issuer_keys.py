"""The public keys of an OpenID Connect issuer, fetched when a token needs them."""

from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from threading import Event, Lock, Thread
from typing import Final
from urllib.request import urlopen

import jwt
import structlog
from jwt import PyJWKClient

from domain.errors import ConfigurationError
from domain.log.ports import Clock
from infrastructure.configuration.addresses import parse_web_address
from infrastructure.json_text import read_json
from infrastructure.keys.claims import OUR_NAMES, ClaimNames
from infrastructure.keys.credentials import CredentialError, Tokens, VerifyingKey

_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
"""The one algorithm for each type of key. The algorithm in a token's header must be the same."""

_TIMEOUT: Final = 5.0
"""Seconds that the issuer has for one answer."""

_FRESH: Final = 300.0
"""Seconds after which keys are fetched again."""

_USABLE: Final = 3600.0
"""Seconds for which keys stay in use while the issuer does not answer."""

_PAUSE: Final = 10.0
"""Seconds between two requests to the issuer, so that invented key names cannot flood it."""

_MOMENT: Final = 1.0
"""Seconds that callers wait for the issuer who do not need its answer."""

_LARGEST: Final = 1_000_000
"""Most bytes of the issuer's description."""

_log = structlog.get_logger(__name__)


def issuer_tokens(
    issuer: str,
    audience: str,
    clock: Clock,
    monotonic: Callable[[], float],
    names: ClaimNames = OUR_NAMES,
) -> Tokens:
    """Tokens of an OpenID Connect issuer. Nothing is fetched before the first `verify`, or the
    first look at `problem`."""
    keys = IssuerKeys(issuer, monotonic)
    return Tokens(
        keys.key_of, issuer, audience, clock, names, problem=keys.problem, waits=keys.waits
    )


class IssuerKeys:
    """The issuer's keys by their id. Tokens with a known key do not need the issuer: where it does
    not answer, one of them waits a second for it, in ten."""

    def __init__(self, issuer: str, monotonic: Callable[[], float]) -> None:
        self._issuer = issuer
        self._monotonic = monotonic
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched = self._asked = float("-inf")
        self._lock = Lock()
        self._fetching: Event | None = None

    def waits(self, token: str) -> bool:
        """True if `key_of` may have to wait for the issuer: the token's key is not known."""
        with suppress(jwt.PyJWTError, ValueError, RecursionError):
            return not self._usable(jwt.get_unverified_header(token).get("kid"))
        return False

    def problem(self) -> str | None:
        """What keeps new tokens from being verified, if anything does. Asks the issuer if that is
        due, and waits a moment for it."""
        if self._monotonic() - self._fetched > _FRESH and (fetching := self._begin()):
            fetching.wait(_MOMENT)
        if self._asked <= self._fetched:
            return None
        return f"The issuer {self._issuer} does not hand out its keys: the log says why."

    def key_of(self, token: str) -> VerifyingKey:
        """The key that `token` names. May block while keys are fetched. Raises
        `CredentialError`."""
        key_id = jwt.get_unverified_header(token).get("kid")
        if not isinstance(key_id, str):
            raise CredentialError(
                "token-invalid", "The token does not name its key (kid). Get a new token."
            )
        if not self._knows(key_id):
            running = self._fetching
            fetching = self._begin()
            if fetching and not self._usable(key_id):
                fetching.wait()
            elif fetching and fetching is not running:
                fetching.wait(_MOMENT)
        return self._key(key_id)

    def _begin(self) -> Event | None:
        """Begin to fetch the keys if that is due. Returns the end of the fetch that is running, or
        None."""
        with self._lock:
            if self._fetching and not self._fetching.is_set():
                return self._fetching
            if self._monotonic() - self._asked < _PAUSE:
                return None
            self._asked = self._monotonic()
            self._fetching = done = Event()
        Thread(target=self._fetch, args=(done,), name="issuer", daemon=True).start()
        return done

    def _usable(self, key_id: object) -> bool:
        return key_id in self._keys and self._monotonic() - self._fetched <= _USABLE

    def _knows(self, key_id: str) -> bool:
        return key_id in self._keys and self._monotonic() - self._fetched <= _FRESH

    def _key(self, key_id: str) -> VerifyingKey:
        key = self._keys.get(key_id)
        if key and self._monotonic() - self._fetched <= _USABLE:
            return key
        if self._asked > self._fetched:
            raise CredentialError(
                "issuer-unavailable",
                f"The issuer {self._issuer} does not hand out its keys. Try again in a moment.",
            )
        raise CredentialError(
            "token-invalid",
            "The issuer has no such key for RS256 or ES256. Get a new token.",
        )

    def _fetch(self, done: Event) -> None:
        try:
            self._replace_keys()
        finally:
            done.set()

    def _replace_keys(self) -> None:
        """Replace the keys; keep the old ones if the issuer gives no usable answer."""
        try:
            client = PyJWKClient(self._jwks_uri(), cache_jwk_set=False, timeout=_TIMEOUT)
            signing_keys = client.get_signing_keys()
        except (OSError, HTTPException, ValueError, ConfigurationError, jwt.PyJWTError) as error:
            _log.error("issuer.unavailable", issuer=self._issuer, error=str(error))
            return
        self._keys = {
            key.key_id: VerifyingKey(key, key.algorithm_name)
            for key in signing_keys
            if key.key_id and _ALGORITHMS.get(key.key_type or "") == key.algorithm_name
        }
        self._fetched = self._monotonic()

    def _jwks_uri(self) -> str:
        """The address of the keys, from the issuer's description (OpenID Connect Discovery)."""
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        with urlopen(address, timeout=_TIMEOUT) as response:
            if response.geturl() != address:
                raise ValueError(f"{address} redirects to {response.geturl()}")
            description = read_json(response.read(_LARGEST))
        if not isinstance(description, dict) or description.get("issuer") != self._issuer:
            raise ValueError(f"{address} does not describe the issuer {self._issuer}")
        return parse_web_address("jwks_uri", str(description.get("jwks_uri")))
