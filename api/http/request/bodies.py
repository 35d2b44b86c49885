"""The bodies of `/v1`: read strictly, in whichever lane."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.http.errors.problems import Problem
from domain.errors import Fault
from infrastructure.json_text import SYNTAX, FieldsRepeated, NotJSON, read_json

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyRoute(APIRoute):
    """A route whose body is read by `read_json`; a command that takes none refuses one. Every
    router with a command has routes of this class."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle if "GET" in (self.methods or ()) else self._without_body(handle)

        async def read_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return read_strictly

    def _without_body(self, handle: _Handler) -> _Handler:
        """Refuse a body that nobody would read: somebody meant something by it."""
        detail = unexpected_body(self)

        async def refuse_body(request: Request) -> Response:
            if await request.body() not in (b"", b"{}"):
                raise Problem("invalid-body", detail, (Fault("", "unexpected-body", detail),))
            return await handle(request)

        return refuse_body


def unexpected_body(route: APIRoute) -> str:
    """The sentence about a body that nobody would read."""
    takes_reason = any(field.alias == "reason" for field in route.dependant.query_params)
    hint = " Send the reason in the query: ?reason=…" if takes_reason else ""
    return f"This route takes no body.{hint}"


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Raises `Problem`."""
        try:
            return read_json(await self.body())
        except NotJSON as error:
            reason = str(error)
            why = reason.removeprefix(SYNTAX) if reason.startswith(SYNTAX) else f"it {reason}"
            raise Problem("malformed-json", f"The body is not JSON: {why}.") from None
        except FieldsRepeated as error:
            raise Problem("invalid-body", error.faults[0].detail, error.faults) from None
