"""Reads of one call: as fresh as the call asks for, and recorded in the journal."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import Header

from api.http.errors.problems import Problem
from api.http.request.callers import Call
from api.http.request.numbers import DIGITS
from api.use_cases import freshness, journaling
from api.use_cases.journaling import Actor
from api.wire.moments import LARGEST, no_position
from domain.errors import Fault
from infrastructure.journal.entries import JournalEntry
from projections.running.projection import View
from projections.versions.followed import LiveProjection

MinEventPosition = Annotated[
    int | None,
    Header(
        alias="Min-Event-Position",
        ge=0,
        le=LARGEST,
        description="Wait until the view shows this position of the log, or answer 503",
    ),
    DIGITS,
]

Answer = TypeVar("Answer")
V = TypeVar("V", bound=View[Any])


async def read(
    call: Call,
    projection: LiveProjection[V],
    position: int | None,
    find: Callable[[V], Answer],
    *,
    ticket_id: str | None = None,
    shows: Callable[[Answer], int] | None = None,
) -> Answer:
    """As `freshness.read`, for the tickets of the caller's organisation. A position that the log
    has not reached is refused at once."""
    if position is not None and position > call.service.head.position:
        head = await to_thread.run_sync(call.service.log.head)
        if position > head:
            _refuse_beyond(position, head)
    return await freshness.read(
        call.service,
        projection,
        position,
        find,
        org_id=call.caller.org_id,
        ticket_id=ticket_id,
        shows=shows,
    )


def _refuse_beyond(position: int, head: int) -> None:
    detail = no_position(position, head)
    fault = Fault("/header/Min-Event-Position", "beyond-the-log", detail)
    raise Problem("invalid-parameter", detail, (fault,))


async def journaled(call: Call, action: str, read: Callable[[], Awaitable[Answer]]) -> Answer:
    """As `journaling.journaled`: the answer, once it is durable who asked for what."""
    return await journaling.journaled(call.service, journal_entry(call, action), read)


async def record(call: Call, action: str, details: Mapping[str, Any] | None = None) -> None:
    """Return once it is durable that the caller did this."""
    await journaling.record(call.service, journal_entry(call, action, details))


def journal_entry(
    call: Call, action: str, details: Mapping[str, Any] | None = None
) -> JournalEntry:
    """That the caller did this; `details` are what a body says, beside path and query."""
    state, request = call.request.state, call.request
    actor = Actor(call.caller.subject, call.caller.org_id, state.correlation_id)
    parameters = {**request.path_params, **request.query_params, **(details or {})}
    return journaling.journal_entry(call.service, actor, action, parameters)
