"""The caller of a request: from the bearer token to the organisation and a command's origin."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.http.errors.problems import MOST_FAULTS, Problem
from api.use_cases.service import Service
from api.use_cases.submission import Submitter
from domain.errors import Fault
from domain.origin import Origin, milliseconds
from domain.spelling import nearest
from infrastructure.json_text import escaped
from infrastructure.keys.claims import Caller
from infrastructure.keys.credentials import CredentialError, bearer

SECURITY: Final[dict[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token with sub, org, scope and exp",
}
"""The OpenAPI security scheme of every route that takes a `Call`."""

VERIFYING: Final = 4
"""Tokens verified at once. An issuer that does not answer must not fill the threads that serve
everybody else."""

_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request: its caller, and the service that answers."""

    request: Request
    service: Service
    submitter: Submitter
    caller: Caller

    def origin(self, reason: str | None) -> Origin:
        """Where a command of this call comes from."""
        return Origin(
            actor=self.caller.subject,
            reason=reason,
            correlation_id=self.request.state.correlation_id,
            causation_id=None,
            occurred_at=milliseconds(self.service.clock()),
        )


def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)


async def recognise(request: Request) -> Caller:
    """The caller that the token names. Raises `CredentialError`."""
    token = bearer(request.headers.get("authorization"))
    tokens = service_of(request).tokens
    caller = tokens.known(token)
    if caller is None:
        # strangers with made-up names of keys must not keep callers with known ones waiting
        state = request.app.state
        limiter = state.fetching if tokens.waits(token) else state.verifying
        caller = await to_thread.run_sync(
            tokens.verify, token, limiter=limiter, abandon_on_cancel=True
        )
    return caller


@dataclass(frozen=True, slots=True)
class Requires:
    """The one dependency of a route: its call, if the token is good and has this scope.

    It is `async` (FastAPI runs plain functions in a thread) and asks for nothing but the request:
    every further dependency costs each request some microseconds.
    """

    scope: str

    async def __call__(self, request: Request) -> Call:
        service = service_of(request)
        try:
            caller = await recognise(request)
        except CredentialError as error:
            raise Problem(error.code, error.detail) from error
        if self.scope not in caller.scopes:
            claims = " or ".join(service.tokens.names.scopes)
            raise Problem("scope-missing", f"The token's {claims} lacks {self.scope}.")
        if request.scope["query_string"]:
            _refuse_wrong_parameters(request)
        return Call(request, service, request.app.state.submitter, caller)


def _refuse_wrong_parameters(request: Request) -> None:
    """Refuse unknown and repeated parameters: to ignore a misspelt filter would show more than the
    caller asked for."""
    route = cast(APIRoute, request.scope["route"])
    known = known_parameters(route.dependant)
    counts = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [(name, times) for name, times in counts.items() if times > 1 or name not in known]
    faults = [
        Fault(
            f"/query/{escaped(name)}",
            "repeated-parameter" if name in known else "unknown-parameter",
            f"{name} takes one value, not {times}. Ask once for each."
            if name in known
            else unknown_parameter(name, known),
        )
        for name, times in wrong[:MOST_FAULTS]
    ]
    if faults:
        raise Problem("invalid-parameter", faults[0].detail, faults)


def known_parameters(dependant: Dependant) -> list[str]:
    """The query parameters of a route, and of what it depends on."""
    inner = [name for dependency in dependant.dependencies for name in known_parameters(dependency)]
    return [*(parameter.alias for parameter in dependant.query_params), *inner]


def unknown_parameter(name: str, known: Sequence[str]) -> str:
    """The sentence about a query parameter that a route does not take."""
    close = nearest(name, known)
    if close:
        hint = f"Did you mean {close!r}?"
    else:
        hint = f"It takes {', '.join(known)}." if known else "It takes none."
    return f"There is no query parameter {name[:_SHOWN]!r}. {hint}"


def organisation_of(call: Call, org_id: str | None) -> str | None:
    """Whose entries the caller may see, None for everybody's. Only platform staff choose."""
    own = call.caller.org_id
    if own is None:
        return org_id
    if org_id not in (None, own):
        raise Problem(
            "platform-staff-only",
            "Only platform staff may ask for another organisation. Leave org out to see your own.",
        )
    return own


Reading = Annotated[Call, Depends(Requires("tickets:read"))]
Writing = Annotated[Call, Depends(Requires("tickets:write"))]
Auditing = Annotated[Call, Depends(Requires("audit:read"))]
Operating = Annotated[Call, Depends(Requires("projections:operate"))]
