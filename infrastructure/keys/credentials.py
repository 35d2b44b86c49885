"""Recognising callers: verifying bearer tokens, and issuing them with a shared secret."""

import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from json import dumps
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal

from infrastructure.keys.claims import (
    OUR_NAMES,
    SCOPES,
    Caller,
    ClaimError,
    ClaimNames,
    Claims,
    read_claims,
)

if TYPE_CHECKING:  # loaded where tokens are verified
    from jwt import PyJWK

    from domain.log.ports import Clock

OURS: Final = "ticketbook"
"""Issuer and audience of the tokens signed with a shared secret."""

LONGEST_TOKEN: Final = 8192
"""Most characters of a token."""

LEEWAY: Final = timedelta(seconds=30)
"""Most difference between the clocks of an issuer and of this machine."""

_REMEMBERED: Final = 4096
"""Most verified tokens in memory."""

_REMEMBERED_FOR: Final = timedelta(minutes=5)
"""Longest time for which a verified token is in memory."""

Code = Literal[
    "token-missing", "token-invalid", "token-expired", "token-not-yet-valid", "issuer-unavailable"
]


class CredentialError(Exception):
    """The caller could not be recognised. `code` is stable; `detail` says what to do.

    With `issuer-unavailable` the caller is not at fault: the same token may be good in a moment.
    """

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and the one algorithm it is good for."""

    key: "bytes | PyJWK" = field(repr=False)
    algorithm: str


KeyOf = Callable[[str], VerifyingKey]
"""Finds the key for a token, before any claim of the token is trusted. May raise
`CredentialError`."""


class Tokens:
    """Verifies the tokens of one issuer, and remembers the good ones.

    `waits` is True for a token whose key must be asked for first, and never blocks. `problem` says
    what keeps new tokens from being verified, if anything does; it may block too.
    Safe from any thread. `known` never blocks. `verify` may block for seconds while the issuer's
    keys are fetched: on an event loop call `known` first, and run `verify` in a thread.
    """

    def __init__(
        self,
        key_of: KeyOf,
        issuer: str,
        audience: str,
        clock: "Clock",
        names: ClaimNames = OUR_NAMES,
        problem: Callable[[], str | None] = lambda: None,
        waits: Callable[[str], bool] = lambda _token: False,
    ) -> None:
        self.waits = waits
        self.names = names
        self._key_of = key_of
        self.problem = problem
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._good: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._lock = Lock()

    def known(self, token: str) -> Caller | None:
        """The caller, if this token was verified recently and has not expired since; else None."""
        with self._lock:
            if not (verified := self._good.get(token)):
                return None
            caller, until = verified
            if self._clock().timestamp() < until:
                self._good.move_to_end(token)
                return caller
            del self._good[token]
            return None

    def verify(self, token: str) -> Caller:
        """The caller that the token names. Raises `CredentialError`."""
        if caller := self.known(token):
            return caller
        claims = self._claims(token)
        now, leeway = self._clock().timestamp(), LEEWAY.total_seconds()
        if claims.nbf is not None and now + leeway < claims.nbf:
            raise CredentialError("token-not-yet-valid", "The token is not valid yet: try later.")
        until = claims.exp + leeway
        if until <= now:
            raise CredentialError("token-expired", "The token has expired. Get a new one.")
        caller = claims.caller()
        self._keep(token, caller, min(until, now + _REMEMBERED_FOR.total_seconds()))
        return caller

    def _claims(self, token: str) -> Claims:
        if not token:
            raise _missing()
        if len(token) > LONGEST_TOKEN:
            raise _invalid(f"The token is longer than {LONGEST_TOKEN:,} characters.")
        import jwt  # most commands open a service and verify no token

        try:
            return read_claims(self._signed(token, self._key_of(token)), self.names)
        except ClaimError as error:
            raise _invalid(f"The token's claim {error.claim!r} {error.expected}") from None
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"The token has no claim {error.claim!r}: it is required.") from None
        except jwt.InvalidIssuerError:
            raise _invalid(f"The token is not from the issuer {self._issuer!r}.") from None
        except jwt.InvalidAudienceError:
            raise _invalid(f"The token is not meant for the audience {self._audience!r}.") from None
        except jwt.InvalidSignatureError:
            raise _invalid(
                "The signature of the token does not fit: another key made it, or the token was "
                "changed."
            ) from None
        except jwt.DecodeError:
            raise _invalid("The token is no JWT: it is damaged, cut short, or opaque.") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _invalid("The token is not signed by whom it should be, or damaged.") from None

    def _signed(self, token: str, key: VerifyingKey) -> dict[str, Any]:
        """The claims of the token, after its signature, issuer and audience are checked."""
        import jwt

        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": ["iss", "aud", "sub", "exp", self.names.organisation],
                    "enforce_minimum_key_length": True,
                    # in `verify`, by our clock
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    # by `read_claims`, with a better explanation
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.InvalidAlgorithmError:
            raise _invalid(
                f"Its key is for {key.algorithm}: the token must say that too."
            ) from None

    def _keep(self, token: str, caller: Caller, until: float) -> None:
        with self._lock:
            self._good[token] = (caller, until)
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)


def secret_tokens(secret: str, clock: "Clock") -> Tokens:
    """Tokens signed with a shared secret; their `verify` never blocks."""
    key = VerifyingKey(secret.encode(), "HS256")
    return Tokens(lambda _token: key, OURS, OURS, clock)


def no_tokens(clock: "Clock") -> Tokens:
    """Accepts no token: for processes that answer no caller."""

    def no_key(_token: str) -> VerifyingKey:
        raise CredentialError("token-invalid", "This process answers no callers.")

    return Tokens(no_key, OURS, OURS, clock)


def issue_token(
    secret: str, sub: str, org: str, scopes: Iterable[str], lifetime: timedelta, clock: "Clock"
) -> str:
    """A token signed with `secret`. Raises `ValueError`, saying what to correct."""
    now = clock().timestamp()
    scope = " ".join(_checked_scope(scope) for scope in scopes)
    claims = {"sub": sub, "org": org, "scope": scope, "exp": int(now + lifetime.total_seconds())}
    read_claims(claims, OUR_NAMES)
    if lifetime <= timedelta():
        raise ValueError("The lifetime must be longer than nothing.")
    return _signed(claims | {"iss": OURS, "aud": OURS, "iat": int(now)}, secret)


def _signed(claims: Mapping[str, Any], secret: str) -> str:
    """A JWT signed with HS256, byte for byte like the library's; to load the library, and the
    cryptography that HS256 does not need, takes longer than all else of `ticketbook token`."""
    header = {"alg": "HS256", "typ": "JWT"}
    text = ".".join(
        _base64(dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
    )
    return f"{text}.{_base64(hmac.digest(secret.encode(), text.encode(), 'sha256'))}"


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def bearer(authorization: str | None) -> str:
    """The token in an `Authorization` header; raises `CredentialError`."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _missing()
    return token.strip()


def _checked_scope(scope: str) -> str:
    if scope in SCOPES:
        return scope
    close = get_close_matches(scope[:200], SCOPES, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Scopes are {', '.join(SCOPES)}."
    raise ValueError(f"There is no scope {scope!r}. {hint}")


def _missing() -> CredentialError:
    return CredentialError(
        "token-missing", "Send a token in the header: Authorization: Bearer TOKEN"
    )


def _invalid(detail: str) -> CredentialError:
    return CredentialError("token-invalid", f"{detail} Get a new token.")
