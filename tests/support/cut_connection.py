"""A TCP relay that loses replies, for what must survive a lost acknowledgement."""

import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Final

_CHUNK: Final = 65_536


class CutConnection:
    """Relays a loopback port of its own to the server at `address`.

    Of the next `times` requests that contain `request`, the server sees each, and the client's
    connection is cut instead of handing it the reply. `lost` counts them.
    """

    def __init__(self, address: tuple[str, int], request: bytes, times: int) -> None:
        self._address = address
        self._request = request
        self._times = times
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._address)
                doomed = Event()
                Thread(target=self._requests, args=(client, server, doomed), daemon=True).start()
                Thread(target=self._replies, args=(server, client, doomed), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, doomed: Event) -> None:
        with suppress(OSError), client, server:
            while data := client.recv(_CHUNK):
                if self._request in data and self.lost < self._times:
                    self.lost += 1
                    doomed.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _replies(self, server: socket.socket, client: socket.socket, doomed: Event) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                if doomed.is_set():
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
