"""`/v1/operations`, and the tasks on projections that run as such jobs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Path
from pydantic_core import to_json
from starlette.responses import Response

from api.http.errors.problems import CALLER, STORE, Problem, documented
from api.http.request import paging
from api.http.request.bodies import BodyRoute
from api.http.request.callers import Call, Operating
from api.http.request.reading import journal_entry, record
from api.http.routes.projections import named
from api.use_cases.jobs import RunningJob
from api.use_cases.projections import (
    Task,
    prepare_cancel,
    prepare_drop_old,
    prepare_rebuild,
    prepare_roll_back,
    prepare_verify,
)
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
    repair_result,
)
from api.wire.projections import ProjectionModel, status_json
from domain.errors import StoreRefused
from projections.versions.control import control
from projections.versions.rebuild import Wanted
from projections.versions.status import status

Result = TypeVar("Result")

router = APIRouter(prefix="/v1", tags=["Operations"], route_class=BodyRoute)

_BODY: Final = ("invalid-body", "malformed-json", "unsupported-media-type")
_STARTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": JobModel,
    "responses": documented(
        *(*CALLER, *_BODY, "not-found", "operation-running", "version-unknown"),
        *STORE,
    ),
}
_CONTROLLED: Final[dict[str, Any]] = {
    "response_model": ProjectionModel,
    "responses": documented(*CALLER, *_BODY, "not-found", "version-unknown", *STORE),
}


@dataclass(frozen=True, slots=True)
class _Question:
    """The question that a cursor through the operations goes on with."""

    about: str = "operations"


@router.post("/projections/{name}/rebuild", **_STARTED)
async def start_rebuild(call: Operating, name: str, body: RebuildBody | None = None) -> Response:
    """Build a new version beside the live one, compare it, and switch to it; with `dryRun`, stop
    before the switch. It is `refused` when the new version is not what the log says, or parks
    tickets that the live one shows, unless `acceptParked`. A rebuild that was interrupted,
    compared only or refused is continued."""
    body = body or RebuildBody()
    wanted = Wanted(dry_run=body.dryRun, accept_parked=body.acceptParked, rate=body.rate)
    task = await _prepared(
        partial(prepare_rebuild, call.service, named(call.service, name), wanted)
    )
    return await _started(call, name, body, task, rebuilt_json)


@router.post("/projections/{name}/rollback", **_STARTED)
async def start_rollback(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Switch back to the version that was live before; with `dryRun`, say only which that is."""
    body, projection = body or JobBody(), named(call.service, name)
    task = await _prepared(partial(prepare_roll_back, projection, dry_run=body.dryRun))
    return await _started(call, name, body, task, lambda version: {"version": version})


@router.post("/projections/{name}/drop-old", **_STARTED)
async def start_drop_old(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Delete the versions that are kept beside the live one; with `dryRun`, say only which."""
    body, projection = body or JobBody(), named(call.service, name)
    task = await _prepared(partial(prepare_drop_old, projection, dry_run=body.dryRun))
    return await _started(call, name, body, task, lambda versions: {"versions": versions})


@router.post("/projections/{name}/verify", **_STARTED)
async def start_verify(call: Operating, name: str, body: VerifyBody | None = None) -> Response:
    """Compare the live version with the log; with `repair`, put the differences right."""
    body = body or VerifyBody()

    def before_repair(places: int) -> None:
        entry = journal_entry(call, "projection.repaired", {"differences": places})
        call.service.journal.append(entry)

    task = prepare_verify(
        call.service,
        named(call.service, name),
        before_repair=before_repair if body.repair else None,
        dry_run=body.dryRun,
    )
    return await _started(call, name, body, task, repair_result)


@router.post("/projections/{name}/cancel", **_STARTED)
async def start_cancel(call: Operating, name: str, body: JobBody | None = None) -> Response:
    """Give up the version that is being built, and delete it."""
    body, projection = body or JobBody(), named(call.service, name)
    task = await _prepared(partial(prepare_cancel, projection, dry_run=body.dryRun))
    return await _started(call, name, body, task, lambda version: {"version": version})


@router.post("/projections/{name}/pause", **_CONTROLLED)
async def pause(call: Operating, name: str) -> Response:
    """Have a running rebuild wait."""
    return await _controlled(call, "projection.rebuild_paused", name, paused=True)


@router.post("/projections/{name}/resume", **_CONTROLLED)
async def resume(call: Operating, name: str) -> Response:
    """Have a paused rebuild go on."""
    return await _controlled(call, "projection.rebuild_resumed", name, paused=False)


@router.post("/projections/{name}/throttle", **_CONTROLLED)
async def throttle(call: Operating, name: str, body: ThrottleBody) -> Response:
    """Limit how fast a rebuild goes."""
    return await _controlled(call, "projection.rebuild_throttled", name, rate=body.rate)


@router.get(
    "/operations",
    response_model=JobPage,
    responses=documented(*CALLER, *STORE),
)
async def list_operations(
    call: Operating, limit: paging.Limit = paging.DEFAULT_LIMIT, cursor: paging.Cursor = None
) -> Response:
    """The operations that were started, newest first."""
    question = _Question()
    before = paging.id_of(cursor, question)
    jobs = await to_thread.run_sync(call.service.jobs.latest, before, limit + 1)
    following = paging.cursor_after(jobs[limit - 1].id, question) if len(jobs) > limit else None
    items = [job_json(job) for job in jobs[:limit]]
    return paging.page(call.request, items, following, {})


@router.get(
    "/operations/{operation_id}",
    response_model=JobModel,
    responses=documented(*CALLER, "not-found", *STORE),
)
async def get_operation(
    call: Operating, operation_id: Annotated[str, Path(pattern=ID_PATTERN)]
) -> Response:
    """The progress of an operation, or its outcome, from any process."""
    job = await to_thread.run_sync(call.service.jobs.find, operation_id)
    if job is None:
        raise Problem("not-found", f"There is no operation {operation_id}.")
    return Response(to_json(job_json(job)), media_type="application/json")


async def _prepared(prepare: Callable[[], Task[Result]]) -> Task[Result]:
    """The task; a missing privilege is told to these callers, who operate the service."""
    try:
        return await to_thread.run_sync(prepare)
    except StoreRefused as error:
        raise Problem("store-unavailable", str(error)) from error


async def _started(
    call: Call,
    name: str,
    body: JobBody,
    task: Task[Result],
    result_json: Callable[[Result], Mapping[str, Any]],
) -> Response:
    """Run the task as a job, once it is durable who asked; a dry run is not recorded."""
    if not task.dry_run:
        await record(call, task.action, body.model_dump(exclude_none=True))

    def work(running: RunningJob) -> Mapping[str, Any]:
        return result_json(task.run(running))

    start, by = call.service.jobs.start, call.caller.subject
    job = await to_thread.run_sync(start, task.kind, name, by, body.reason, work)
    headers = {"Location": f"/v1/operations/{job.id}"}
    return Response(to_json(job_json(job)), 202, headers=headers, media_type="application/json")


async def _controlled(call: Call, action: str, name: str, **wanted: Any) -> Response:
    projection = named(call.service, name)
    await to_thread.run_sync(control, projection)
    await record(call, action, wanted)
    await to_thread.run_sync(lambda: control(projection, **wanted))
    body = status_json(await to_thread.run_sync(status, projection))
    return Response(to_json(body), media_type="application/json")
