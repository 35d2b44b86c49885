"""The JSON of what changed between two positions, ticket by ticket."""

from typing import Any

from pydantic import BaseModel, Field

from api.wire.audit import CauseModel, ContentModel, cause_json, content_json
from projections.audit.diff import TicketDiff


class FeatureChangeModel(BaseModel):
    feature: str
    by: CauseModel


class TicketDiffModel(BaseModel):
    """A ticket that was not the same after as before, and what did that."""

    ticketId: str
    orgId: str | None
    system: str | None
    before: ContentModel | None
    after: ContentModel | None
    added: CauseModel | None
    retired: CauseModel | None
    restored: CauseModel | None
    renamed: CauseModel | None
    granted: list[FeatureChangeModel]
    revoked: list[FeatureChangeModel]


class TicketDiffPageModel(BaseModel):
    items: list[TicketDiffModel]
    next: str | None = Field(description="Cursor of the next page; null on the last")


def ticket_diff_json(diff: TicketDiff) -> dict[str, Any]:
    return {
        "ticketId": diff.ticket_id,
        "orgId": diff.org_id,
        "system": diff.system,
        "before": content_json(diff.before),
        "after": content_json(diff.after),
        "added": cause_json(diff.added),
        "retired": cause_json(diff.retired),
        "restored": cause_json(diff.restored),
        "renamed": cause_json(diff.renamed),
        "granted": [{"feature": f, "by": cause_json(by)} for f, by in diff.granted],
        "revoked": [{"feature": f, "by": cause_json(by)} for f, by in diff.revoked],
    }
