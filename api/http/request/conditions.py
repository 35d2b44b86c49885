"""The ticket that a request names, and its conditions: the version and the key."""

import re
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Header, Path

from api.http.errors.problems import Problem
from api.http.request.callers import Call
from api.wire.fields import ID_PATTERN
from domain.deciding import Key
from domain.errors import Fault

KEY_PATTERN: Final = r"^[\x21-\x7e]{1,200}$"

TicketId = Annotated[str, Path(pattern=ID_PATTERN, description="24 hex digits")]

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The ETag that was read, like `"3"`, or `*` for any',
        json_schema_extra={"pattern": r'^("[0-9]{1,15}"|\*)$'},  # checked in `expected_version`
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="304 when the ETag is still the same")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description="Makes repeating the command harmless: it answers as it did the first time",
    ),
]


def etag(version: int) -> str:
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version named by If-Match; None for `*`."""
    if if_match is None:
        raise Problem(
            "precondition-required",
            "Send If-Match with the ETag of the ticket as you read it, so that nobody's change is "
            "overwritten unseen.",
        )
    if if_match.strip() == "*":
        return None
    match = re.fullmatch(r'\s*"(\d{1,15})"\s*', if_match)
    if match is None:
        detail = 'If-Match takes one ETag as it was given, like "3" with its quotes, or *.'
        raise Problem(
            "invalid-parameter", detail, (Fault("/header/If-Match", "invalid-etag", detail),)
        )
    return int(match.group(1))


def unchanged(if_none_match: str | None, version: int) -> bool:
    """Whether the client's copy is still good (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag(version) in tags


async def idempotency_key(call: Call, value: str | None) -> Key | None:
    """The key, private to the caller, with a fingerprint of the command and its conditions."""
    if value is None:
        return None
    request, caller = call.request, call.caller
    parts = (request.method, request.url.path, request.url.query, request.headers.get("if-match"))
    print_ = sha256(repr(parts).encode() + await request.body()).hexdigest()
    owner = sha256(f"{caller.org_id or '*'} {caller.subject}".encode()).hexdigest()[:32]
    return Key(f"{owner} {value}", print_)
