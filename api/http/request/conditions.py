"""The ticket that a request names, and its conditions: the version and the key."""

import re
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Header, Path

from api.http.errors.problems import Problem
from api.http.request.callers import Call
from api.wire.fields import ID_PATTERN, KEY_PATTERN
from domain.deciding import Key
from domain.errors import Fault, VersionConflict
from domain.ticket.commands import Expected

_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_OURS: Final = re.compile(r'"([1-9][0-9]{0,14})"')
_LIST_LENGTH: Final = 1_000
"""Most characters of If-Match."""

_WEAK: Final = (
    'A weak tag, like W/"3", never matches: a proxy that compresses answers may have made it '
    "weak. Send the tag without W/ if you know that it did."
)

TicketId = Annotated[str, Path(pattern=ID_PATTERN, description="24 hex digits")]

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The ETag that was read, like `"3"`, several of them, or `*` for any',
        json_schema_extra={"pattern": r'^("[0-9]{1,15}"(, "[0-9]{1,15}")*|\*)$'},  # see `_tags`
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


def expected_version(if_match: str | None) -> Expected | None:
    """The version named by If-Match, or several of which any will do; None for `*`.

    RFC 9110, section 13.1.1: tags are compared as they stand, and a weak one never matches. So a
    tag that is none of ours adds no version.
    """
    if if_match is None:
        raise Problem(
            "precondition-required",
            "Send If-Match with the ETag of the ticket as you read it, so that nobody's change is "
            "overwritten unseen.",
        )
    if if_match.strip() == "*":
        return None
    versions = [int(match[1]) for tag in _tags(if_match) if (match := _OURS.fullmatch(tag))]
    return versions[0] if len(versions) == 1 else frozenset(versions)


def _tags(if_match: str) -> list[str]:
    """The tags of a list."""
    tags, rest = [], if_match.strip()
    while rest and len(if_match) <= _LIST_LENGTH:
        if tag := _TAG.match(rest):
            tags.append(tag[0])
            rest = rest[tag.end() :].lstrip()
        if rest and rest[0] != ",":
            break
        rest = rest[1:].lstrip()
    if rest or not tags:
        detail = 'If-Match takes ETags as they were given, like "3" with its quotes, or *.'
        fault = Fault("/header/If-Match", "invalid-etag", detail)
        raise Problem("invalid-parameter", detail, (fault,))
    return tags


def weak_tag_told(if_match: str | None, conflict: VersionConflict) -> VersionConflict:
    """The conflict; if a weak tag was sent, it says that no weak tag can match."""
    if not if_match or "W/" not in if_match:
        return conflict
    return VersionConflict(
        f"{conflict.detail} {_WEAK}",
        conflict.faults,
        conflict.version,
        replayed=conflict.replayed,
    )


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
