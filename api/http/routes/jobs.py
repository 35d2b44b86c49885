"""What operators have done to projections, over HTTP: what takes long answers at once, with an
operation to come back for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path
from pydantic_core import to_json
from starlette.responses import Response

from api.composition import holder
from api.http.errors.problems import CALLER, Problem, documented
from api.http.request import paging
from api.http.request.callers import Call, Operating
from api.http.request.reading import journal_entry, record
from api.http.routes.projections import named
from api.use_cases.jobs import RunningJob
from api.use_cases.workers import shares
from api.wire.fields import ID_PATTERN
from api.wire.jobs import (
    JobBody,
    JobModel,
    JobPage,
    RebuildBody,
    ThrottleBody,
    VerifyBody,
    job_json,
    rebuilt_json,
    verification_result,
)
from api.wire.projections import ProjectionModel, status_json, verification_json
from projections.versions.control import (
    cancel,
    control,
    drop_old,
    droppable,
    earlier,
    roll_back,
    too_late,
)
from projections.versions.followed import LiveProjection
from projections.versions.rebuild import Step, Wanted, rebuild
from projections.versions.repair import check
from projections.versions.status import status

router = APIRouter(prefix="/v1", tags=["Operations"])

_BODY: Final = ("invalid-body", "malformed-json", "unsupported-media-type")
_STARTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": JobModel,
    "responses": documented(
        *(*CALLER, *_BODY, "not-found", "operation-running", "version-unknown"),
        "store-unavailable",
    ),
}
_ASKED: Final[dict[str, Any]] = {
    "response_model": ProjectionModel,
    "responses": documented(*CALLER, *_BODY, "not-found", "version-unknown", "store-unavailable"),
}


@dataclass(frozen=True, slots=True)
class _Question:
    """What a cursor through the operations is bound to."""

    about: str = "operations"


Work = Callable[[RunningJob], Mapping[str, Any]]


@router.post("/projections/{name}/rebuild", **_STARTED)
async def start_rebuild(call: Operating, name: str, body: RebuildBody | None = None) -> Response:
    """Build a new version beside the live one, compare it, and switch to it; with `dryRun`, stop
    before the switch. It is `refused` when the new version is not what the log says, or parks
    tickets that the live one shows, unless `acceptParked`. One that was interrupted, compared only
    or refused is gone on with."""
    asked = body or RebuildBody()
    projection, service = named(call.service, name), call.service

    def work(running: RunningJob) -> Mapping[str, Any]:
        found = rebuild(
            projection,
            service.log.head,
            holder(),
            service.workers,
            shares(),
            running.tell,
            Wanted(asked.dryRun, asked.acceptParked, asked.rate),
            stop=running.check,
        )
        return rebuilt_json(found)

    return await _started(call, "rebuild", "projection.rebuilt", name, asked, work)


@router.post("/projections/{name}/rollback", **_STARTED)
async def start_rollback(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Switch back to the version that was live before; with `dryRun`, say only which that is."""
    asked, projection = body or JobBody(), named(call.service, name)
    kept = await to_thread.run_sync(earlier, projection)

    def work(_: RunningJob) -> Mapping[str, Any]:
        return {"version": kept if asked.dryRun else roll_back(projection, holder())}

    return await _started(call, "rollback", "projection.rolled_back", name, asked, work)


@router.post("/projections/{name}/drop-old", **_STARTED)
async def start_drop_old(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Delete the versions that are kept beside the live one; with `dryRun`, say only which."""
    asked, projection = body or JobBody(), named(call.service, name)

    def work(running: RunningJob) -> Mapping[str, Any]:
        found = droppable(projection) if asked.dryRun else drop_old(projection, running.wait)
        return {"versions": found}

    return await _started(call, "drop-old", "projection.old_dropped", name, asked, work)


@router.post("/projections/{name}/verify", **_STARTED)
async def start_verify(call: Operating, name: str, body: VerifyBody | None = None) -> Response:
    """Compare the live version with the log; with `repair`, put right what differs."""
    asked, projection = body or VerifyBody(), named(call.service, name)
    workers = call.service.workers

    def work(running: RunningJob) -> Mapping[str, Any]:
        version, head = projection.versions.registry().live, call.service.log.head()
        started = monotonic()

        def at(position: int) -> None:
            rate = position / max(monotonic() - started, 1e-9)
            running.tell(Step("comparing", position, head, rate))

        def before(places: int) -> None:
            told = {"differences": places}
            call.service.journal.append(journal_entry(call, "projection.repaired", told))

        mending = before if asked.repair and not asked.dryRun else None
        verified = partial(workers.verify, name, version, at)
        checked = check(projection.projected(version), verified, holder(), mending)
        told = verification_result(verification_json(checked.found))
        return told | {"remaining": len(checked.remaining.mismatches)}

    return await _started(call, "verify", "projection.verified", name, asked, work)


@router.post("/projections/{name}/cancel", **_STARTED)
async def start_cancel(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Give up the version that is being built, and delete it."""
    asked, projection = body or JobBody(), named(call.service, name)
    building = await to_thread.run_sync(control, projection)

    def work(running: RunningJob) -> Mapping[str, Any]:
        if not asked.dryRun and cancel(projection, running.wait) is None:
            raise too_late(projection, building)
        return {"version": building.version}

    return await _started(call, "cancel", "projection.rebuild_cancelled", name, asked, work)


@router.post("/projections/{name}/pause", **_ASKED)
async def pause(call: Operating, name: str) -> Response:
    """Have a running rebuild wait."""
    return await _asked(call, "projection.rebuild_paused", name, paused=True)


@router.post("/projections/{name}/resume", **_ASKED)
async def resume(call: Operating, name: str) -> Response:
    """Have a paused rebuild go on."""
    return await _asked(call, "projection.rebuild_resumed", name, paused=False)


@router.post("/projections/{name}/throttle", **_ASKED)
async def throttle(call: Operating, name: str, body: ThrottleBody) -> Response:
    """Limit how fast a rebuild goes."""
    return await _asked(call, "projection.rebuild_throttled", name, rate=body.rate)


@router.get(
    "/operations",
    response_model=JobPage,
    responses=documented(*CALLER, "store-unavailable"),
)
async def list_operations(
    call: Operating, limit: paging.Limit = paging.DEFAULT_LIMIT, cursor: paging.Cursor = None
) -> Response:
    """The operations that were started, newest first."""
    question, operator = _Question(), call.service.jobs
    before = paging.id_of(cursor, question)
    found = await to_thread.run_sync(operator.latest, before, limit + 1)
    following = paging.cursor_after(found[limit - 1].id, question) if len(found) > limit else None
    items = [job_json(one) for one in found[:limit]]
    return paging.page(call.request, items, following, {})


@router.get(
    "/operations/{operation_id}",
    response_model=JobModel,
    responses=documented(*CALLER, "not-found", "store-unavailable"),
)
async def get_operation(
    call: Operating, operation_id: Annotated[str, Path(pattern=ID_PATTERN)]
) -> Response:
    """How far an operation has come, or what came of it. Any process knows."""
    found = await to_thread.run_sync(call.service.jobs.find, operation_id)
    if found is None:
        raise Problem("not-found", f"There is no operation {operation_id}.")
    return Response(to_json(job_json(found)), media_type="application/json")


async def _started(
    call: Call, kind: str, action: str, name: str, asked: JobBody, work: Work
) -> Response:
    """Start it, once it is durable who asked; who only tries has done nothing."""
    if not asked.dryRun:
        await record(call, action, asked.model_dump(exclude_none=True))
    start, by = call.service.jobs.start, call.caller.subject
    operation = await to_thread.run_sync(start, kind, name, by, asked.reason, work)
    headers = {"Location": f"/v1/operations/{operation.id}"}
    body = to_json(job_json(operation))
    return Response(body, 202, headers=headers, media_type="application/json")


async def _asked(call: Call, action: str, name: str, **asked: Any) -> Response:
    projection: LiveProjection[Any] = named(call.service, name)
    await to_thread.run_sync(control, projection)
    await record(call, action, asked)
    await to_thread.run_sync(lambda: control(projection, **asked))
    found = await to_thread.run_sync(status, projection)
    return Response(to_json(status_json(found)), media_type="application/json")
