"""Long polls of Socket.IO that end when no client waits for them any more.

Engine.IO holds the poll of a client that has left for 45 seconds, and the service would not end
before.
"""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Polls:
    """ASGI middleware around Engine.IO."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        session = parse_qs(scope["query_string"].decode("latin-1")).get("sid", [""])[0]
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[session] = ended
        try:
            await self._until(ended, scope, receive, send)
        finally:
            if self._waiting.get(session) is ended:
                del self._waiting[session]

    def end(self, session: str) -> None:
        """End the poll of an Engine.IO session, if one waits."""
        ended = self._waiting.get(session)
        if ended and not ended.done():
            ended.set_result(None)

    def end_all(self) -> None:
        """The service ends."""
        for session in list(self._waiting):
            self.end(session)

    async def _until(
        self, ended: asyncio.Future[None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        head = await receive()

        async def begun() -> Message:
            return head

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        answering = asyncio.ensure_future(self._app(scope, begun, send))
        listening = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((answering, listening, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            if not answering.done():
                answering.cancel()  # Engine.IO then closes the session
            with suppress(asyncio.CancelledError):
                await answering
