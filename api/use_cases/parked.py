"""Parked tickets that would leave an answer incomplete."""

from contextlib import suppress
from typing import Any

from api.use_cases.service import Service
from domain.errors import StoreCorrupt
from domain.ticket.state import fold
from projections.running.projection import Parked, View


def blocking_parked(
    service: Service, view: View[Any], position: int, org_id: str | None, ticket_id: str | None
) -> Parked | None:
    """A ticket with events up to `position` that the view does not show: it passes over the events
    of a parked ticket, so its checkpoint proves nothing there. Only tickets of the organisation
    count, and only the one ticket, where these are given."""
    for parked in view.parked().values():
        concerned = ticket_id in (None, parked.ticket_id) and parked.position <= position
        if concerned and _belongs(service, parked.ticket_id, org_id):
            return parked
    return None


def _belongs(service: Service, ticket_id: str, org_id: str | None) -> bool:
    """Whether the ticket is of the organisation. One that was parked at its very first event has
    no row, and one that something else damaged has none that can be read: then the log tells whose
    it is."""
    if org_id is None:
        return True
    with suppress(StoreCorrupt):
        if ticket := service.tickets.view.get(ticket_id):
            return ticket.org_id == org_id
    with suppress(StoreCorrupt):
        ticket = fold(service.log.histories([ticket_id]).get(ticket_id, ())[:1])
        return ticket is not None and ticket.org_id == org_id
    return False
