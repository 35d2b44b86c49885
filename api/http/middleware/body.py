"""The one reader of bodies, around every route: it counts them, and notices their early end."""

from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from api.http.limits import BODY_BYTES, BODY_SECONDS
from api.http.middleware.excess import BODY_TOO_LARGE

_LATE: Final = f"The body did not arrive within {BODY_SECONDS:.0f} s. Send the request again."
_LEFT: Final = "The connection ended before the body did."


class BodyReader:
    """A `receive` that raises `HTTPException` when the body is too large (413), late (408), or ends
    before it is complete (400): whoever reads it, the request fails like any other."""

    def __init__(self, scope: Scope, receive: Receive, answered: Callable[[], bool]) -> None:
        self._scope = scope
        self._receive = receive
        self._answered = answered
        self._bytes = 0
        self._complete = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if self._complete or self._answered():
            return message
        if message["type"] == "http.disconnect":
            raise HTTPException(400, _LEFT)
        self._complete = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes > BODY_BYTES:
            raise HTTPException(413, BODY_TOO_LARGE.detail)
        if not self._complete and self._scope["state"].get("late"):
            raise HTTPException(408, _LATE, {"Connection": "close"})
        return message
