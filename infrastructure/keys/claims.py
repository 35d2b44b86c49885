"""The claims of a token, read as one of our callers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

SCOPES: Final = (
    "tickets:read",
    "tickets:write",
    "audit:read",
    "projections:operate",
    "migrate",
)

EVERY_ORGANISATION: Final = "*"
"""The organisation of platform staff."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller that a verified token names. `org_id` None is platform staff: every
    organisation."""

    subject: str
    org_id: str | None
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The claims that issuers name differently. The scopes of all claims in `scopes` add up."""

    organisation: str = "org"
    scopes: tuple[str, ...] = ("scope",)


OUR_NAMES: Final = ClaimNames()
"""The claims of tokens signed with a shared secret, and of issuers unless settings name others."""


class ClaimError(ValueError):
    """A claim has a wrong value; `expected` says which values it may have."""

    def __init__(self, claim: str, expected: str) -> None:
        super().__init__(f"{claim} {expected}")
        self.claim = claim
        self.expected = expected


def _printable(subject: str) -> str:
    if not subject.isprintable() or not subject.strip():
        raise ValueError
    return subject


_ORGANISATION: Final = re.compile(r"[0-9a-f]{24}|\*")


def _organisation(org: str) -> str:
    if not _ORGANISATION.fullmatch(org):
        raise ValueError
    return org


_EXPECTED: Final = {
    "sub": "must be 1 to 255 printable characters.",
    "org": "must be 24 lower-case hexadecimal digits, or * for platform staff.",
    "exp": "must be a time in seconds.",
    "nbf": "must be a time in seconds.",
}

_Time = Annotated[float, Field(ge=0, le=1e12)]


class Claims(BaseModel):
    """The claims that matter here, each with a value that is allowed."""

    model_config = ConfigDict(strict=True, extra="ignore")

    sub: Annotated[str, Field(max_length=255), AfterValidator(_printable)]
    org: Annotated[str, AfterValidator(_organisation)]
    scopes: frozenset[str]
    exp: _Time
    nbf: _Time | None = None

    def caller(self) -> Caller:
        org_id = None if self.org == EVERY_ORGANISATION else self.org
        return Caller(self.sub, org_id, self.scopes & frozenset(SCOPES))


def read_claims(payload: Mapping[str, Any], names: ClaimNames) -> Claims:
    """The claims of a token. Raises `ClaimError` for the first that is wrong."""
    scopes = [scope for name in names.scopes for scope in _scopes(name, payload.get(name, ""))]
    ours = {"org": _only(payload.get(names.organisation)), "scopes": frozenset(scopes)}
    try:
        return Claims.model_validate({**payload, **ours})
    except ValidationError as error:
        claim = str(error.errors()[0]["loc"][0])
        name = names.organisation if claim == "org" else claim
        raise ClaimError(name, _EXPECTED[claim]) from None


def _scopes(name: str, value: Any) -> Sequence[str]:
    match value:
        case str():
            return value.split()
        case [*scopes] if all(isinstance(scope, str) for scope in scopes):
            return scopes
        case _:
            raise ClaimError(name, "must be a text of scopes separated by spaces, or a list.")


def _only(value: Any) -> Any:
    """The text in a list of one: some issuers make a list of every attribute of a user."""
    match value:
        case [str(text)]:
            return text
        case _:
            return value
