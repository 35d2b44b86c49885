"""The attributes of python-socketio and python-engineio that `api/legacy/sockets.py` uses although
neither library documents them. A new version that lacks one fails here, and says which."""

from inspect import iscoroutinefunction, signature

import engineio
import pytest
import socketio


@pytest.fixture
def server() -> socketio.AsyncServer:
    return socketio.AsyncServer(async_mode="asgi")


def test_the_manager_is_told_of_a_client_once_it_is_connected(server: socketio.AsyncServer) -> None:
    assert iscoroutinefunction(server.manager.connect)
    assert list(signature(server.manager.connect).parameters) == ["sid", "namespace"]
    assert server.always_connect is False  # or the manager is told before the handler has agreed


def test_sessions_of_both_libraries_can_be_found_from_each_other(
    server: socketio.AsyncServer,
) -> None:
    assert list(signature(server.manager.sid_from_eio_sid).parameters) == ["eio_sid", "namespace"]
    assert list(signature(server.manager.eio_sid_from_sid).parameters) == ["sid", "namespace"]
    assert server.manager.sid_from_eio_sid("nobody", "/") is None


def test_the_handler_of_new_sessions_can_be_wrapped(server: socketio.AsyncServer) -> None:
    assert isinstance(server.eio, engineio.AsyncServer)
    begun = server.eio.handlers["connect"]
    assert iscoroutinefunction(begun)
    assert list(signature(begun).parameters) == ["eio_sid", "environ"]
    assert iscoroutinefunction(server.eio.disconnect)

    async def other(session: str, environ: object) -> None:
        """Takes the place of the handler."""

    server.eio.on("connect", other)
    assert server.eio.handlers["connect"] is other


def test_the_handler_of_packets_can_be_wrapped_and_looked_behind(
    server: socketio.AsyncServer,
) -> None:
    received = server.eio.handlers["message"]
    assert iscoroutinefunction(received)
    assert list(signature(received).parameters) == ["eio_sid", "data"]
    assert server._binary_packet == {}
    assert server.eio.sockets == {}
    packet = server.packet_class(encoded_packet='52-["a",{"_placeholder":true,"num":0}]')
    assert (packet.attachment_count, packet.attachments) == (2, [])
