"""`/v1/tickets/batch`: many commands to tickets in one request."""

from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from api.http.errors.problems import KINDS, Problem, ProblemModel, document, documented
from api.http.request.bodies import BodyRoute
from api.http.request.callers import Call, Writing
from api.http.request.conditions import IdempotencyKey, idempotency_key
from api.http.routes.tickets import NO_ORGANISATION, WRITE
from api.wire.ticket_batch import DONE, BatchBody, CreateItem
from api.wire.tickets import TicketModel, ticket_json
from domain.deciding import Outcome, SubmissionList
from domain.errors import Refusal
from domain.ticket.commands import Command


class OnlyHere(BodyRoute):
    """A route whose address is no id of a ticket: another method there is not allowed, whatever
    the routes of one ticket take."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `Problem`."""
        methods = self.methods or set[str]()
        if scope["method"] not in methods:
            detail = f"{scope['method'][:20]} is not possible at {scope['path']}."
            allowed = {"Allow": ", ".join(sorted(methods))}
            raise Problem("method-not-allowed", detail, headers=allowed)
        await super().handle(scope, receive, send)


router = APIRouter(prefix="/v1/tickets", tags=["Tickets"], route_class=OnlyHere)


class BatchItemResult(BaseModel):
    """The result of one item: `ticket` as the item left it, or the `problem` of a refused one."""

    result: Literal["created", "changed", "retired", "restored", "unchanged", "refused"]
    ticket: TicketModel | None = None
    problem: ProblemModel | None = None


class BatchResult(BaseModel):
    items: list[BatchItemResult]


@router.post(
    "/batch",
    response_model=BatchResult,
    responses=documented(
        *WRITE,
        "organisation-required",
        "ticket-not-found",
        "ticket-retired",
        "version-conflict",
        "invalid-name",
        "invalid-features",
        "unknown-system",
        "unknown-feature",
    ),
)
async def submit_batch(call: Writing, body: BatchBody, key: IdempotencyKey = None) -> Response:
    """Create, change, retire and restore up to 1,000 tickets; each item gets a result, in order.

    An item that is refused does not affect the others, and its problem points below `/items`; with
    `atomic` the first refusal is the answer, and nothing is stored. What is accepted is stored in
    one commit. `Event-Position` is that of the last item (0 if all are refused). A change needs no
    `If-Match`: an item with a `version` is refused at any other.
    """
    submissions = SubmissionList(
        _commands(call, body), body.atomic, await idempotency_key(call, key)
    )
    outcome = await call.submitter.submit_list(submissions)
    items = [
        _result(item.action, result) for item, result in zip(body.items, outcome.items, strict=True)
    ]
    headers = {"Event-Position": str(outcome.position)}
    headers |= {"Idempotent-Replayed": "true"} if outcome.replayed else {}
    return Response(to_json({"items": items}), headers=headers, media_type="application/json")


def _commands(call: Call, body: BatchBody) -> tuple[tuple[Command, ...], ...]:
    org_id, new_id = call.caller.org_id, call.service.new_id
    if org_id is None and any(isinstance(item, CreateItem) for item in body.items):
        raise Problem("organisation-required", NO_ORGANISATION)
    origin = call.origin(body.reason)
    return tuple(
        item.to_commands(
            new_id(), replace(origin, reason=item.reason) if item.reason else origin, org_id
        )
        for item in body.items
    )


def _result(action: str, result: Outcome | Refusal) -> dict[str, Any]:
    if isinstance(result, Refusal):
        kind = KINDS[result.code]
        problem = document(kind, result.detail, result.faults, result.version)
        return {"result": "refused", "problem": problem}
    assert result.ticket is not None
    done = DONE[action] if result.appended else "unchanged"
    return {"result": done, "ticket": ticket_json(result.ticket)}
