"""The attributes of uvicorn's protocols that `api/http/connections/` uses although uvicorn does not
document them. A new version that lacks one fails here, and says which."""

import asyncio
from importlib.metadata import version
from inspect import getsource, signature
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.http.connections.with_h11 import GuardedH11
from api.http.connections.with_httptools import GuardedHttpTools

PROTOCOLS = pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""


def _made(protocol: type[asyncio.Protocol]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        made: Any = protocol
        return made(uvicorn.Config(_nothing), ServerState(), {}, loop)
    finally:
        loop.close()


def test_the_minor_version_is_the_one_that_was_tried() -> None:
    assert version("uvicorn").startswith("0.54.")


@PROTOCOLS
def test_a_connection_has_what_its_guard_uses(protocol: type[asyncio.Protocol]) -> None:
    made = _made(protocol)
    assert made.config.app is _nothing
    assert made.cycle is None and made.transport is None and made.flow is None
    assert made.connections == set()
    assert isinstance(made.loop, asyncio.AbstractEventLoop)
    for hook in ("data_received", "send_400_response", "shutdown", "pause_writing"):
        assert callable(getattr(made, hook))
    assert callable(FlowControl.resume_reading)


@pytest.mark.parametrize("module", [httptools_impl, h11_impl])
def test_a_request_can_be_woken_and_told_to_close(module: Any) -> None:
    source = getsource(module.RequestResponseCycle)
    for attribute in ("scope", "keep_alive", "message_event", "response_started"):
        assert f"self.{attribute} = " in source
    assert "self.response_complete = False" in source
    assert "await self.message_event.wait()" in source


def test_httptools_says_how_far_a_request_has_come() -> None:
    for hook in ("on_message_begin", "on_headers_complete", "on_message_complete"):
        assert list(signature(getattr(HttpToolsProtocol, hook)).parameters) == ["self"]
    assert _made(GuardedHttpTools).pipeline is not None


def test_h11_says_how_far_a_request_has_come() -> None:
    assert list(signature(H11Protocol.handle_events).parameters) == ["self"]
    assert _made(GuardedH11).conn.their_state is not None
