"""The query parameters that say which audit entries, for every route that takes them."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query

from api.http.request.callers import Call, organisation_of
from api.http.request.moments import Before, BeforePosition, Since, SincePosition
from api.wire.fields import ID_PATTERN
from projections.audit.search import AuditFilter

Text = Annotated[str | None, Query(max_length=200)]
Organisation = Annotated[
    str | None, Query(pattern=ID_PATTERN, description="For platform staff; else it is your own")
]


async def _filter(
    system: Text = None,
    ticket: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
    actor: Text = None,
    action: Text = None,
    feature: Annotated[str | None, Query(max_length=200, description="Granted or revoked")] = None,
    granted: Annotated[str | None, Query(max_length=200, description="This feature")] = None,
    revoked: Annotated[str | None, Query(max_length=200, description="This feature")] = None,
    correlation: Text = None,
    text: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="Part of the reason, in whatever case"),
    ] = None,
    since: Since = None,
    before: Before = None,
    since_position: SincePosition = None,
    before_position: BeforePosition = None,
    org: Organisation = None,
) -> AuditFilter:
    return AuditFilter(
        org_id=org,
        system=system,
        ticket_id=ticket,
        actor=actor,
        action=action,
        feature=feature,
        correlation_id=correlation,
        since=since,
        before=before,
        granted=granted,
        revoked=revoked,
        text=text,
        since_position=since_position,
        before_position=before_position,
    )


Filtered = Annotated[AuditFilter, Depends(_filter)]
"""The filter as it was sent: see `allowed`."""


def allowed(call: Call, where: AuditFilter) -> AuditFilter:
    """The filter, narrowed to what the caller may see. Raises a `Problem` when it names an
    organisation that is not the caller's."""
    return replace(where, org_id=organisation_of(call, where.org_id))
