"""`/`: where to go from here."""

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.http.errors.pages import wants_a_page

router = APIRouter(include_in_schema=False)

_ADDRESSES: Final[dict[str, Any]] = {
    "documentation": "/docs",
    "openapi": "/openapi.json",
    "problems": "/problems",
    "health": "/healthz",
    "readiness": "/readyz",
}


@router.get("/")
async def lead_on(request: Request) -> Response:
    """Lead a browser to the documentation, and tell a program the addresses."""
    headers = {"Vary": "Accept"}
    if wants_a_page(request):
        return RedirectResponse("/docs", 303, headers=headers)
    body = {"name": "Ticketbook", "version": version("ticketbook"), "links": _ADDRESSES}
    return JSONResponse(body, headers=headers)
