"""Which position of the log a moment means."""

from datetime import datetime

from anyio import to_thread

from api.use_cases.freshness import read
from api.use_cases.service import Service
from projections.audit.search import AuditFilter


def refuse_gaps(service: Service, where: AuditFilter) -> None:
    """Raise `LogAhead` if the range of times that is searched ends at a moment that the log cannot
    tell of."""
    if where.before is not None:
        service.times.refuse(where.before)


async def position_at(service: Service, moment: datetime, *, org_id: str | None) -> int:
    """The position of the last event recorded at a moment or before. If nothing was recorded later
    that is the head, whatever clock the events were recorded by. Raises `ProjectionBehind`, and
    `LogAhead` for a moment that the log cannot tell of."""
    audit = service.audit
    await to_thread.run_sync(service.times.refuse, moment)
    position = await read(
        service, audit, None, lambda view: view.position_at(moment), org_id=org_id
    )
    if position is not None:
        return position
    # nothing later is in the view yet: it must show all there is before that means anything
    head = await to_thread.run_sync(service.log.head)
    position = await read(
        service, audit, head, lambda view: view.position_at(moment), org_id=org_id
    )
    return head if position is None else position
