"""The conditions a request carries: which version, which key, which position."""

import asyncio
import re
from contextlib import suppress
from hashlib import sha256
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import Header

from api.http.callers import Call
from api.http.problems import Problem
from domain.errors import Fault, ProjectionBehind
from infrastructure.batch import Key
from projections.progress import Progress
from projections.projection import View

WAIT_SECONDS: Final = 5.0
"""How long a read waits for its view to reach `Min-Event-Position`."""

_LARGEST: Final = 2**53

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
MinEventPosition = Annotated[
    int | None,
    Header(
        alias="Min-Event-Position",
        ge=0,
        le=_LARGEST,
        description="Wait until the view shows this position of the log, or answer 503",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
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
    found = re.fullmatch(r'\s*"(\d{1,15})"\s*', if_match)
    if found is None:
        detail = 'If-Match takes one ETag as it was given, like "3" with its quotes, or *.'
        raise Problem(
            "invalid-parameter", detail, (Fault("/header/If-Match", "invalid-etag", detail),)
        )
    return int(found.group(1))


def unchanged(if_none_match: str | None, version: int) -> bool:
    """Whether the client's copy is still good (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag(version) in tags


async def idempotency_key(call: Call, value: str | None) -> Key | None:
    """The key, private to the caller, with a fingerprint of the whole command."""
    if value is None:
        return None
    request, caller = call.request, call.caller
    parts = (request.method, request.url.path, request.url.query, request.headers.get("if-match"))
    print_ = sha256(repr(parts).encode() + await request.body()).hexdigest()
    owner = sha256(f"{caller.org_id or '*'} {caller.subject}".encode()).hexdigest()[:32]
    return Key(f"{owner} {value}", print_)


async def reached(progress: Progress, position: int | None, what: str) -> None:
    """Wait until the view stands at `position`; raises `ProjectionBehind` when it takes long."""
    if position is None or progress.position >= position:
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    cancel = progress.when(position, tell)
    try:
        await asyncio.wait_for(done, WAIT_SECONDS)
    except TimeoutError:
        raise ProjectionBehind(
            f"{what} stands at position {progress.position}, not yet at {position}. "
            "Try again in a moment; if it stays behind, see /v1/projections."
        ) from None
    finally:
        cancel()


async def not_parked(view: View[Any], ticket_id: str, found: int, position: int | None) -> None:
    """Refuse what was `found` in a view that passed over the events of a parked ticket: it is
    older than `position`, and not because nothing happened to the ticket since."""
    if position is None or found >= position:
        return
    parked = (await to_thread.run_sync(view.parked)).get(ticket_id)
    if parked and parked.position <= position:
        raise ProjectionBehind(
            f"Ticket {ticket_id} is parked at position {parked.position}: what happened to it "
            "since is stored, and shows once an operator has looked at /v1/projections."
        )
