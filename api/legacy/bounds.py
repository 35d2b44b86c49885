"""How much one client of Socket.IO may keep waiting in the service."""

from typing import Any, Final

from api.legacy.polls import Polls

ATTACHMENTS: Final = 4
"""Most binary attachments of one event of Socket.IO. Old clients send none."""

ATTACHMENT_BYTES: Final = 1_048_576
"""Most bytes in them together."""

EVENTS_AT_ONCE: Final = 64
"""Most events of one client of Socket.IO that run at once."""

ANSWERS_WAITING: Final = 100
"""Most packets that wait for one client of Socket.IO to fetch them."""


def bound_clients(server: Any, polls: Polls) -> None:
    """End each session of Engine.IO whose client sends too many or too large attachments, or does
    not fetch its answers. The server is told of each packet in turn."""
    received = server.eio.handlers["message"]

    async def end(session: str) -> None:
        connection = server.eio.sockets.pop(session)
        await connection.close(wait=False, abort=True)  # nobody may ever fetch what is left
        await connection.queue.put(None)  # ends a WebSocket
        polls.end(session)

    async def message(session: str, packet: Any) -> None:
        if session not in server.eio.sockets:
            return
        if _is_too_much(server, session, packet):
            await end(session)
            return
        await received(session, packet)
        awaiting = server._binary_packet.get(session)
        if awaiting is not None and awaiting.attachment_count > ATTACHMENTS:
            await end(session)

    server.eio.on("message", message)


def _is_too_much(server: Any, session: str, packet: Any) -> bool:
    if server.eio.sockets[session].queue.qsize() > ANSWERS_WAITING:
        return True
    awaiting = server._binary_packet.get(session)
    if awaiting is None:
        return False
    return sum(map(len, awaiting.attachments)) + len(packet) > ATTACHMENT_BYTES
