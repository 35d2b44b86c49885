"""Who calls: from the bearer token to the caller, his organisation, and the origin of a command."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.composition import Service
from api.http.problems import Problem
from api.http.submission import Submitter
from domain.origin import Origin, milliseconds
from infrastructure.credentials import Caller, CredentialError

_bearer = HTTPBearer(auto_error=False, description="A JWT with sub, org, scope and exp")


def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)


def submitter_of(request: Request) -> Submitter:
    return cast(Submitter, request.app.state.submitter)


Submitting = Annotated[Submitter, Depends(submitter_of)]
Serving = Annotated[Service, Depends(service_of)]


def requires(scope: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller, if the token is good and has this scope."""

    async def caller(
        service: Serving,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if bearer is None:
            raise Problem("token-missing", "Send Authorization: Bearer and a token.")
        tokens, token = service.tokens, bearer.credentials
        try:
            caller = tokens.known(token)
            if caller is None:
                caller = await to_thread.run_sync(tokens.verify, token)
        except CredentialError as error:
            raise Problem(error.code, error.detail) from error
        if scope not in caller.scopes:
            raise Problem("scope-missing", f"The token's scope lacks {scope}.")
        return caller

    return caller


Reader = Annotated[Caller, Depends(requires("tickets:read"))]
WriterCaller = Annotated[Caller, Depends(requires("tickets:write"))]
Auditor = Annotated[Caller, Depends(requires("audit:read"))]
Operator = Annotated[Caller, Depends(requires("projections:operate"))]


def origin_of(request: Request, caller: Caller, reason: str | None) -> Origin:
    return Origin(
        actor=caller.subject,
        reason=reason,
        correlation_id=request.state.correlation_id,
        causation_id=None,
        occurred_at=milliseconds(service_of(request).clock()),
    )
