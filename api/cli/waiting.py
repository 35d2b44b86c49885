"""Commands answer from all that the log holds, or say what is missing."""

from typing import Final

from api.cli.output import say
from api.use_cases.parked import blocking_parked
from api.use_cases.positions import refuse_gaps
from api.use_cases.service import Service
from domain.errors import ProjectionBehind
from projections.audit.projection import AUDIT
from projections.audit.search import AuditFilter
from projections.running.projection import Parked

_WAIT_SECONDS: Final = 5.0


def wait_for_audit(service: Service) -> int:
    """The end of the log, once the audit log shows all up to there. Raises `ProjectionBehind` when
    it does not after some seconds."""
    head = service.log.head()
    _wait(service, head)
    return head


def wait_for_tickets(service: Service) -> None:
    """Wait until the tickets view shows the whole log. Raises `ProjectionBehind`."""
    position, progress = service.log.head(), service.tickets.live_version.progress
    if not progress.wait(position, _WAIT_SECONDS):
        raise ProjectionBehind(
            f"The tickets view stands at position {progress.position}, not yet at {position}. "
            "Try again in a moment, or look at ticketbook projections status."
        )


def wait_for_views(service: Service, position: int) -> None:
    """Wait until every view shows a position, some seconds at most: what happened is stored, and
    the next command should find it."""
    for projection in service.projections.values():
        projection.live_version.progress.wait(position, _WAIT_SECONDS)


def wait_for_audit_of(service: Service, where: AuditFilter) -> None:
    """Wait until the audit log shows all that a search may find; raises like `wait_for_audit`. The
    changes of parked tickets are missing all the same: a message says so."""
    refuse_gaps(service, where)
    head = service.log.head()
    if where.before_position is not None:
        head = min(head, max(where.before_position - 1, 0))
    _wait(service, head, " Or ask with --before-position for what is there.")
    if parked := blocking_parked(service, service.audit.view, head, where.org_id, where.ticket_id):
        say(_missing(parked))


def refuse_if_parked(
    service: Service, position: int, org: str | None, ticket: str | None = None
) -> None:
    """Raises `ProjectionBehind` when something that happened up to a position does not show."""
    if parked := blocking_parked(service, service.audit.view, position, org, ticket):
        raise ProjectionBehind(_missing(parked))


def _wait(service: Service, position: int, else_: str = "") -> None:
    progress = service.audit.live_version.progress
    if not progress.wait(position, _WAIT_SECONDS):
        raise ProjectionBehind(
            f"The audit log stands at position {progress.position}, not yet at {position}. "
            f"ticketbook serve keeps it current: start it, or try again in a moment.{else_}"
        )


def _missing(parked: Parked) -> str:
    return (
        f"Ticket {parked.ticket_id} is parked at position {parked.position}: what happened to it "
        f"since does not show. Look at ticketbook projections parked list {AUDIT.name}."
    )
