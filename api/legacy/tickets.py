"""The old backend's two operations, the same over HTTP and over Socket.IO."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Figure

from api.legacy.bodies import (
    WriteRequest,
    created_json,
    system_name,
    ticket_json,
    write_request,
)
from api.legacy.refusals import NO_TICKET, LegacyRefusal
from api.use_cases import freshness
from api.use_cases.service import Legacy, Service
from api.use_cases.submission import Submitter
from domain.deciding import Outcome, Submission
from domain.errors import LegacyUsersUnavailable, ProjectionBehind, StoreCorrupt
from domain.origin import Origin, milliseconds
from domain.ticket.commands import Command
from domain.ticket.state import Ticket, fold
from infrastructure.legacy_access.users import ANSWER_SECONDS, LegacyUser
from projections.tickets.search import TicketFilter

CREATE_UPDATE: Final = "create_update_ticket"
LIST: Final = "get_tickets"

UNKNOWN: Final = "unknown"
"""The caller under whom a call is counted that names no user."""

_THREADS: Final = 8
"""Calls that ask a store at once. Calls of new clients must never wait for them."""

_PATIENCE: Final = ANSWER_SECONDS + 1.0
"""Seconds until a caller hears that users cannot be looked up, waiting for a turn included."""

_PAGE: Final = 1_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class LegacyCall:
    """One call: the user, and the id that all its events carry."""

    user: LegacyUser
    correlation_id: str


class LegacyTickets:
    """Recognises callers, applies the gate, and runs the same commands as `/v1`.

    `api.legacy.refusals.explain` puts every error it raises into the old backend's words.
    """

    def __init__(
        self, service: Service, legacy: Legacy, submitter: Submitter, registry: CollectorRegistry
    ) -> None:
        self._service = service
        self._legacy = legacy
        self._submitter = submitter
        self._looking_up = CapacityLimiter(_THREADS)
        self._reading = CapacityLimiter(_THREADS)
        self._calls = Figure(
            "ticketbook_legacy_calls",
            "Calls of the old contract, since this process began.",
            ["caller", "route"],
            registry=registry,
        )

    async def call(self, token: str | None, route: str, correlation_id: str) -> LegacyCall:
        """The call of the user whom `token` names, counted under `route` even if refused."""
        user_id = None
        try:
            if not token:
                raise LegacyRefusal(401, "Authentication required")
            user_id = self._legacy.tokens.user_id(token)
        finally:
            self._count(user_id or UNKNOWN, route)
        return LegacyCall(await self._user(user_id), correlation_id)

    async def next_call(self, user_id: str, route: str, correlation_id: str) -> LegacyCall:
        """A call of a user whose token was seen before: looked up again, and counted."""
        self._count(user_id, route)
        return LegacyCall(await self._user(user_id), correlation_id)

    def _count(self, caller: str, route: str) -> None:
        self._calls.labels(caller, route).inc()
        self._legacy.counter.count(caller, route)

    async def _user(self, user_id: str) -> LegacyUser:
        """The user as stored now."""
        find = self._legacy.users.find
        try:
            with fail_after(_PATIENCE):
                user = await to_thread.run_sync(
                    find, user_id, limiter=self._looking_up, abandon_on_cancel=True
                )
        except TimeoutError:
            raise LegacyUsersUnavailable(
                "The user database does not answer. Try again in a moment."
            ) from None
        if user is None:
            raise LegacyRefusal(401, "User not found")
        return user

    async def create_update_ticket(self, call: LegacyCall, data: Any) -> dict[str, Any]:
        """Create a ticket, or change the fields that were sent; answered once it shows."""
        await self._gate(call, CREATE_UPDATE)
        request = write_request(data, partial(_organisation, call))
        origin = Origin(
            actor=call.user.id,
            reason=None,
            correlation_id=call.correlation_id,
            causation_id=None,
            occurred_at=milliseconds(self._service.clock()),
        )
        if request.ticket_id is None:
            creation = request.creation(self._service.new_id(), origin)
            return created_json(await self._run(creation))
        return ticket_json(await self._change(request, request.ticket_id, origin))

    async def _change(self, request: WriteRequest, ticket_id: str, origin: Origin) -> Ticket:
        ticket = await self._in_thread(lambda: self._stored(ticket_id))
        if ticket is None or (ticket.org_id, ticket.system) != (request.org_id, request.system):
            raise LegacyRefusal(*NO_TICKET)
        changes = request.changes(ticket_id, origin)
        return await self._run(*changes) if changes else ticket

    async def get_tickets(self, call: LegacyCall, system: Any) -> list[dict[str, Any]]:
        """The tickets of the caller's organisation in one system, oldest first."""
        await self._gate(call, LIST)
        system = system_name(system)
        where = TicketFilter(_organisation(call, system), system)
        return [ticket_json(ticket) for ticket in await self._in_thread(lambda: self._find(where))]

    async def _gate(self, call: LegacyCall, feature: str) -> None:
        """Any ticket of the caller may hold the feature, if the ticket belongs to the organisation
        in which the caller has it, and stands under a system of the catalogue: other parts of a
        user may look alike. Raises `LegacyRefusal`."""
        systems = self._service.catalogue.current().systems
        accesses = [access for name, access in call.user.systems.items() if name in systems]
        ids = {access.ticket_id for access in accesses if access.ticket_id}
        latest = (await freshness.live_version(self._service.tickets)).view.latest
        tickets: Mapping[str, Ticket] = await self._in_thread(lambda: latest(ids))
        for access in accesses:
            ticket = tickets.get(access.ticket_id or "")
            if ticket and ticket.org_id == access.org_id and feature in _grants(ticket):
                return
        raise LegacyRefusal(403, f"Feature {feature} not accessible")

    def _stored(self, ticket_id: str) -> Ticket | None:
        """The ticket, from the log where the view does not show it yet."""
        ticket = self._service.tickets.view.get(ticket_id)
        if ticket is None:
            ticket = fold(self._service.log.histories([ticket_id]).get(ticket_id, ()))
        return None if ticket is None or ticket.retired else ticket

    def _find(self, where: TicketFilter) -> list[Ticket]:
        tickets: list[Ticket] = []
        reader = self._service.tickets.view
        while True:
            page = reader.find(where, tickets[-1].id if tickets else None, _PAGE)
            tickets += page
            if len(page) < _PAGE:
                break
        first = self._first_positions(tickets)
        return sorted(tickets, key=lambda ticket: (ticket.created_at, first[ticket.id]))

    def _first_positions(self, tickets: Sequence[Ticket]) -> Mapping[str, int]:
        """The position of each ticket's first event. The old collection was never sorted: its
        order was the order of creation, also of tickets made in the same millisecond. The log is
        asked only about such tickets that were changed since."""
        alike = Counter(ticket.created_at for ticket in tickets)
        changed = [t.id for t in tickets if t.version > 1 and alike[t.created_at] > 1]
        first = {ticket.id: ticket.position for ticket in tickets}
        with suppress(StoreCorrupt):
            histories = self._service.log.histories(changed)
            first |= {ticket_id: history[0].position for ticket_id, history in histories.items()}
        return first

    async def _run(self, *commands: Command) -> Ticket:
        """The ticket as the commands left it, once the view shows it."""
        outcome = await self._submitter.submit(Submission(commands))
        try:
            await self._wait_until_visible(outcome)
        except ProjectionBehind:
            raise ProjectionBehind(
                "The change is stored, but does not show yet. Do not send it again: "
                "look at the ticket in a moment."
            ) from None
        assert outcome.ticket is not None
        return outcome.ticket

    async def _wait_until_visible(self, outcome: Outcome) -> None:
        live = await freshness.live_version(self._service.tickets)
        await freshness.reached(live.progress, outcome.position, "The view of tickets")
        ticket = await self._in_thread(lambda: self._service.tickets.view.get(outcome.ticket_id))
        if ticket is None or ticket.position < outcome.position:  # parked
            raise ProjectionBehind(f"Ticket {outcome.ticket_id} does not show yet.")

    async def _in_thread(self, ask: Callable[[], Found]) -> Found:
        return await to_thread.run_sync(ask, limiter=self._reading)


def _organisation(call: LegacyCall, system: str) -> str:
    """The organisation in which the caller has the system. Raises `LegacyRefusal`."""
    access = call.user.systems.get(system)
    if access is None:
        raise LegacyRefusal(403, "Access denied to this system")
    return access.org_id


def _grants(ticket: Ticket) -> tuple[str, ...]:
    return () if ticket.retired else ticket.features
