"""`ticketbook serve`."""

import gc
import signal
import socket
import sys
from typing import Annotated, Final

import typer

from api.cli.greeting import greet
from api.cli.output import Exit, example, reporting
from api.composition import open_service
from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import is_loopback
from infrastructure.configuration.settings import load_settings
from infrastructure.logging import configure_logging

_BACKLOG: Final = 2_048

app = typer.Typer()


@app.command(epilog=example("ticketbook serve --port 8000"))
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    json_logs: Annotated[bool, typer.Option(help="Log JSON lines, also on a terminal.")] = False,
    access_log: Annotated[bool, typer.Option(help="Log a line for each request.")] = False,
) -> None:
    """Serve the HTTP API until interrupted."""
    from api.http.server import run  # no other command should wait for a web framework to load

    configure_logging(json=json_logs or not sys.stderr.isatty())
    _stop_in_order()
    with reporting():
        settings = load_settings()
        if settings.auth is None and not is_loopback(host):
            raise ConfigurationError(
                f"Refusing to listen on {host} with a secret nobody chose. "
                "Set TICKETBOOK_AUTH_SECRET (openssl rand -hex 32) or TICKETBOOK_OIDC_ISSUER."
            )
        with open_service(settings) as service, _listening(host, port) as listener:
            greet(settings, service, f"http://{_host_in_url(host)}:{listener.getsockname()[1]}")
            _collect_rarely()
            run(service, listener, access_log=access_log)


def _collect_rarely() -> None:
    """The memory of the service (ticket states, the log's tail) is many small objects and no
    cycles. Looking through them all for garbage again and again took a quarter of the processor
    and stopped every request for 150 ms at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _stop_in_order() -> None:
    """Before uvicorn listens for signals, and once its requests are answered and it passes one on,
    the default would end the process there, before the writer has finished and the leases are
    given up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(Exit.OK))


def _listening(host: str, port: int) -> socket.socket:
    """Listen at once, so that a taken port is an error before anything is promised."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # from now on nobody is refused, only kept waiting a moment
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Can not listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from error
    return listener


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
