"""`/v1/audit/head` and `/v1/audit/export`: for auditors to take away."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

import structlog
from anyio import to_thread
from fastapi import APIRouter, Query
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from api.export.export import AuditVersion, ExportSource, export
from api.export.formats import FORMATS
from api.export.heads import signed_head
from api.http.errors.problems import CALLER, PAST, READ, STORE, Problem, documented
from api.http.request.audit_filter import Filtered, allowed
from api.http.request.callers import Auditing
from api.http.request.known_names import refuse_unknown_names
from api.http.request.reading import MinEventPosition, journaled, read, record
from api.use_cases.known_names import filtered_names
from api.use_cases.positions import refuse_gaps
from api.use_cases.service import Service
from api.use_cases.signing import signing_key
from api.wire.audit import HeadModel
from domain.errors import ConfigurationError
from domain.origin import milliseconds
from infrastructure.keys.signing_key import SigningKey

_log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/audit", tags=["Audit"])

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One entry a line; the last line is a signed head",
        "content": {style.media_type.partition(";")[0]: {} for style in FORMATS.values()},
    }
}


@router.get(
    "/head",
    response_model=HeadModel,
    responses=documented(*CALLER, "overloaded", "signing-key-missing", *STORE),
)
async def audit_head(call: Auditing) -> Response:
    """Where the log ends, signed. A head that is kept shows later if the log was rewritten."""
    service = call.service

    def find() -> dict[str, Any]:
        return signed_head(service.log.ending(), service.clock(), _key(service))

    await record(call, "audit.head_read")
    return Response(to_json(await to_thread.run_sync(find)), media_type="application/json")


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=_FILE
    | documented(*READ, *PAST, "overloaded", "platform-staff-only", "signing-key-missing"),
)
async def export_audit(
    call: Auditing,
    sent: Filtered,
    format: Annotated[Literal["ndjson", "csv"], Query()] = "ndjson",
    position: MinEventPosition = None,
) -> Response:
    """Every audit entry of the organisation that matches every filter given, oldest first, with
    all it takes to check it offline. It goes up to what the audit log shows when it begins. The
    last line is signed: without it, something went wrong on the way. That it was exported is
    recorded."""
    where, style, service = allowed(call, sent), FORMATS[format], call.service
    await refuse_unknown_names(call, where.org_id, position, **filtered_names(where))

    def begin(view: AuditVersion) -> Iterator[bytes]:
        refuse_gaps(service, where)
        source = ExportSource(
            view=view,
            log=service.log,
            key=_key(service),
            where=where,
            style=style,
            began=milliseconds(service.clock()),
            skipped=service.audit.versions.skipped,
        )
        pieces = export(source)
        return chain([next(pieces)], pieces)  # what fails at once is a problem, not half a file

    pieces = await journaled(
        call,
        "audit.exported",
        lambda: read(call, call.service.audit, position, begin, ticket_id=where.ticket_id),
    )
    named = {"Content-Disposition": f'attachment; filename="audit.{style.name}"'}
    return StreamingResponse(pieces, headers=named, media_type=style.media_type)


def _key(service: Service) -> SigningKey:
    try:
        return signing_key(service)
    except ConfigurationError as error:
        _log.error("signing_key.unusable", problem=str(error))
        raise Problem(
            "signing-key-missing",
            "This service has no key to sign with, or cannot use it: its log says why. Its "
            "operator must set TICKETBOOK_SIGNING_KEY.",
        ) from error
