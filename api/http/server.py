"""Running the application in this process, until a signal stops it."""

import socket
from importlib.util import find_spec

import uvicorn
from fastapi import FastAPI

from api.http.app import create_app
from api.http.connections.guard import Guard
from api.http.limits import BODY_BYTES, HEAD_BYTES
from api.use_cases.service import Service


def run(service: Service, listener: socket.socket, *, access_log: bool = False) -> None:
    """Answer requests until a signal ends the process. With `access_log`, log a line for each."""
    app = create_app(service, access_log=access_log)
    app.state.connections.begin()
    _Server(configuration(app)).run(sockets=[listener])


def configuration(app: FastAPI, protocol: type[Guard] | None = None) -> uvicorn.Config:
    """How uvicorn serves the application; with the parser that is installed, if no other is
    named."""
    return uvicorn.Config(
        app,
        http=protocol or _protocol(),
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws_max_size=BODY_BYTES,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=app.state.connections.limits.idle_seconds,
        timeout_graceful_shutdown=10,
    )


def _protocol() -> type[Guard]:
    if find_spec("httptools"):
        from api.http.connections.with_httptools import GuardedHttpTools

        return GuardedHttpTools
    from api.http.connections.with_h11 import GuardedH11

    return GuardedH11


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the requests at work; but old clients' long polls wait for this service."""
        if polls := getattr(self.config.app.state, "polls", None):  # type: ignore[union-attr]
            polls.end_all()
        await super().shutdown(sockets)
