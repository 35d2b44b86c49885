"""Connections that httptools reads: it has no limits of its own."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.connections.guard import Guard, Phase
from api.http.limits import PIPELINED


class GuardedHttpTools(Guard, HttpToolsProtocol):
    """uvicorn's protocol over httptools, watched."""

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            self.abort("too-many-requests-ahead")
            raise ConnectionAbortedError  # the parser stops here
        self.enter(Phase.HEAD)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.enter(Phase.BODY)
        self.head_bytes = self.sent_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.enter(Phase.ANSWER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.phase is Phase.ANSWER:
            self.enter(Phase.IDLE)
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        self.leave()
        super().handle_websocket_upgrade()
