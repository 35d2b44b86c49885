"""Reads that name a position of the log: they wait for their view to reach it, and what they then
show is never older."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

from anyio import to_thread
from fastapi import Header

from api.http.request.callers import Call
from api.use_cases.parked import blocking_parked
from api.use_cases.service import Service
from api.wire.moments import LARGEST
from domain.errors import ProjectionBehind
from projections.running.progress import Progress
from projections.running.projection import View
from projections.versions.followed import Followed

WAIT_SECONDS: Final = 5.0
"""How long a read waits for its view to reach `Min-Event-Position`."""

_TITLES: Final = {"tickets": "The view of tickets", "audit": "The audit log"}

MinEventPosition = Annotated[
    int | None,
    Header(
        alias="Min-Event-Position",
        ge=0,
        le=LARGEST,
        description="Wait until the view shows this position of the log, or answer 503",
    ),
]

Found = TypeVar("Found")


async def read(
    call: Call,
    name: str,
    position: int | None,
    find: Callable[[Any], Found],
    *,
    ticket_id: str | None = None,
    shows: Callable[[Found], int] | None = None,
) -> Found:
    """What `find` finds in the live version of the view `name`, which it is handed, once that
    shows everything up to `position`.

    `ticket_id` says that it is about one ticket alone. `shows` tells the position that an answer
    is known to show by itself: one that reaches `position` needs no further proof. Raises
    `ProjectionBehind`, also where a ticket of the caller's is parked.
    """
    followed = await live_version(call.service, name)
    view = followed.view
    if position is None:
        return await to_thread.run_sync(find, view)
    await reached(followed.progress, position, _TITLES[name])
    asked = position

    def proven() -> Found:
        if shows is not None:
            found = find(view)
            if shows(found) >= asked:
                return found
        _refuse_if_parked(call, view, asked, ticket_id)
        return find(view)

    return await to_thread.run_sync(proven)


async def live_version(service: Service, name: str) -> Followed[Any]:
    """The live version; in a thread if that must be asked of the store."""
    projection = service.projections[name]
    known = projection.known
    return known if known is not None else await to_thread.run_sync(lambda: projection.live_version)


async def reached(progress: Progress, position: int, title: str) -> None:
    """Wait until the view is known to stand at `position`; raises `ProjectionBehind`."""
    if progress.position >= position:
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
        raise _behind(title, progress.position, position) from None
    finally:
        cancel()


def _behind(title: str, stands: int, position: int) -> ProjectionBehind:
    return ProjectionBehind(
        f"{title} stands at position {stands}, not yet at {position}. "
        "Try again in a moment; if it stays behind, see /v1/projections."
    )


def _refuse_if_parked(call: Call, view: View[Any], position: int, ticket_id: str | None) -> None:
    if parked := blocking_parked(call.service, view, position, call.caller.org_id, ticket_id):
        raise ProjectionBehind(
            f"Ticket {parked.ticket_id} is parked at position {parked.position}: what happened to "
            "it since is stored, and shows once an operator has looked at /v1/projections."
        )
