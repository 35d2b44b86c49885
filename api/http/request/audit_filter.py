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


async def _asked(
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
        org,
        system,
        ticket,
        actor,
        action,
        feature,
        correlation,
        since,
        before,
        granted,
        revoked,
        text,
        since_position,
        before_position,
    )


Filtered = Annotated[AuditFilter, Depends(_asked)]
"""What was asked for, by whomever: see `allowed`."""


def allowed(call: Call, asked: AuditFilter) -> AuditFilter:
    """As much of it as the caller may see. Raises a `Problem` when he names an organisation that
    is not his."""
    return replace(asked, org_id=organisation_of(call, asked.org_id))
