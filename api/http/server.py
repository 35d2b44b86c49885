"""Running the application in this process, until a signal stops it."""

import socket

import uvicorn

from api.http.app import create_app
from api.use_cases.service import Service


def run(service: Service, listener: socket.socket) -> None:
    """Answer requests until a signal ends the process."""
    _Server(
        uvicorn.Config(
            create_app(service),
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
    ).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the requests at work; but old clients' long polls wait for this service."""
        if polls := getattr(self.config.app.state, "polls", None):  # type: ignore[union-attr]
            polls.end_all()
        await super().shutdown(sockets)
