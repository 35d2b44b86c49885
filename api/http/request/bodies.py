"""The bodies of `/v1`: read strictly, in whichever lane."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.http.errors.problems import Problem
from api.wire.json_text import FieldsRepeated, NotJSON, read_json


class BodyRoute(APIRoute):
    """A route whose body is read by `read_json`. Every router under `/v1` has routes of this
    class."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return read_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Raises `Problem`."""
        try:
            return read_json(await self.body())
        except NotJSON as error:
            raise Problem("malformed-json", f"The body is not JSON: {error}.") from None
        except FieldsRepeated as error:
            raise Problem("invalid-body", str(error), error.faults) from None
