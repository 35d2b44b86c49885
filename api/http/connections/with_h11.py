"""Connections that h11 reads, where httptools is not installed."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.connections.guard import Guard, Phase

_PHASES = {h11.IDLE: Phase.IDLE, h11.SEND_BODY: Phase.BODY}


class GuardedH11(Guard, H11Protocol):
    """uvicorn's protocol over h11, watched."""

    def handle_events(self) -> None:
        super().handle_events()
        if self.phase in (Phase.LATE, Phase.ENDING, Phase.GONE):
            return
        phase = _PHASES.get(self.conn.their_state, Phase.ANSWER)
        if phase is not Phase.IDLE:
            self.head_bytes = 0
        elif self.head_bytes:
            phase = Phase.HEAD
        if phase is not self.phase:
            self.sent_bytes = 0
            self.enter(phase)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.leave()
        super().handle_websocket_upgrade(event)
