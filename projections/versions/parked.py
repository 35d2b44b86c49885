"""Retrying and skipping the events of parked tickets.

Both act on every version that follows the log and parks the ticket. On a version that is being
built they take effect when its rebuild goes on.
"""

from collections.abc import Sequence
from typing import Any

from domain.errors import TicketNotParked
from domain.log.ports import Clock
from projections.running.projection import Parked, Projected, Skipped
from projections.versions.followed import LiveProjection
from projections.versions.repair import leading, retry, settle_skipped


def parked_in(projection: LiveProjection[Any]) -> Sequence[Parked]:
    """The tickets that any version that follows the log parks; each once, oldest event first."""
    return _oldest_first(_all(projection))


def parked_anywhere(projection: LiveProjection[Any]) -> Sequence[Parked]:
    """The same, with the tickets that the version being built parks."""
    return _oldest_first([*_building(projection), *_all(projection)])


def retry_everywhere(projection: LiveProjection[Any], ticket_id: str, holder: str) -> Parked | None:
    """Apply the waiting events of the ticket. None once it is no longer parked, else how it failed.
    Raises `TicketNotParked`, `Fenced`."""
    failed: Parked | None = None
    for projected, _ in _waiting(projection, _all(projection), ticket_id):
        failed = retry(projected, ticket_id, holder) or failed
    return failed


def skip(
    projection: LiveProjection[Any],
    ticket_id: str,
    actor: str,
    reason: str,
    holder: str,
    clock: Clock,
) -> Sequence[Skipped]:
    """Pass over the event at which the ticket is parked, for good, and apply the events after it.

    This holds in every version, also in one that had applied the event, in later versions, and in
    the rows that `verify` expects. Returns the skipped events: one for each version, and mostly the
    same one. Raises `TicketNotParked`, `Fenced`.
    """
    everywhere = [*_building(projection), *_all(projection)]
    positions = {parked.position for _, parked in _waiting(projection, everywhere, ticket_id)}
    events = [
        Skipped(position, ticket_id, actor, reason, clock()) for position in sorted(positions)
    ]
    for event in events:
        projection.versions.skip(event)
    for projected in _all(projection):  # also versions that have not reached the event yet
        with leading(projected, holder) as (applier, check):
            settle_skipped(projected, applier, check, {ticket_id})
    return events


def _waiting(
    projection: LiveProjection[Any], versions: Sequence[Projected[Any]], ticket_id: str
) -> Sequence[tuple[Projected[Any], Parked]]:
    waiting = [
        (projected, parked)
        for projected in versions
        if (parked := projected.view.parked().get(ticket_id)) is not None
    ]
    if not waiting:
        raise not_parked(projection, ticket_id)
    return waiting


def not_parked(projection: LiveProjection[Any], ticket_id: str) -> TicketNotParked:
    """The error for a ticket that is not parked in a version that follows the log."""
    name = projection.projection.name
    if any(ticket_id in projected.view.parked() for projected in _building(projection)):
        return TicketNotParked(
            f"Only the version of {name} that is being built parks ticket {ticket_id}: "
            f"ticketbook projections rebuild {name} tries it again."
        )
    return TicketNotParked(f"{name} has no parked ticket {ticket_id}.")


def _all(projection: LiveProjection[Any]) -> Sequence[Projected[Any]]:
    registry = projection.versions.registry()
    return [projection.projected(version) for version in (registry.live, *registry.kept)]


def _building(projection: LiveProjection[Any]) -> Sequence[Projected[Any]]:
    build = projection.versions.registry().building
    return [projection.projected(build.version)] if build else []


def _oldest_first(versions: Sequence[Projected[Any]]) -> Sequence[Parked]:
    by_ticket = {
        parked.ticket_id: parked
        for projected in versions
        for parked in projected.view.parked().values()
    }
    return sorted(by_ticket.values(), key=lambda parked: parked.position)
