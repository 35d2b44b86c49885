"""Reads that name a position of the log: they wait for their view to reach it, and what they then
show is never older."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from anyio import to_thread

from api.use_cases.parked import blocking_parked
from api.use_cases.service import Service
from domain.errors import ProjectionBehind
from projections.running.progress import Progress
from projections.running.projection import View
from projections.versions.followed import Followed, LiveProjection

WAIT_SECONDS: Final = 5.0
"""How long a read waits for its view to reach a position."""

_TITLES: Final = {"tickets": "The view of tickets", "audit": "The audit log"}

Answer = TypeVar("Answer")
V = TypeVar("V", bound=View[Any])


async def read(
    service: Service,
    projection: LiveProjection[V],
    position: int | None,
    find: Callable[[V], Answer],
    *,
    org_id: str | None,
    ticket_id: str | None = None,
    shows: Callable[[Answer], int] | None = None,
) -> Answer:
    """The answer that `find` gives from the projection's live view, once that shows everything up
    to `position`; None for as far as it is.

    `org_id` and `ticket_id` say whose tickets the answer is about, and that it is about one alone.
    `shows` gives the position that an answer shows by itself: one that reaches `position` needs no
    further proof. Raises `ProjectionBehind`, also where one of those tickets is parked.
    """
    live = await live_version(projection)
    view = live.view
    if position is None:
        return await to_thread.run_sync(find, view)
    await reached(live.progress, position, _TITLES[projection.projection.name])

    def proven() -> Answer:
        if shows is not None:
            answer = find(view)
            if shows(answer) >= position:
                return answer
        if parked := blocking_parked(service, view, position, org_id, ticket_id):
            raise ProjectionBehind(
                f"Ticket {parked.ticket_id} is parked at position {parked.position}: what happened "
                "to it since is stored, and shows once an operator has looked at /v1/projections."
            )
        return find(view)

    return await to_thread.run_sync(proven)


async def live_version(projection: LiveProjection[V]) -> Followed[V]:
    """The live version; in a thread if that must be asked of the store."""
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


def _behind(title: str, reached: int, position: int) -> ProjectionBehind:
    return ProjectionBehind(
        f"{title} stands at position {reached}, not yet at {position}. "
        "Try again in a moment; if it stays behind, see /v1/projections."
    )
