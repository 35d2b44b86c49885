"""`/problems`: the closed list of problems, each explained: as a page where a browser asks, as JSON
for everybody else."""

import json
import re
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import HTMLResponse, Response

from api.http.errors.kind import Kind
from api.http.errors.problems import KINDS, Problem, example

router = APIRouter(include_in_schema=False)

_HEADERS: Final = {
    "Vary": "Accept",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}

_FRAME: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em }}
pre {{ background: #f4f4f4; padding: 1em; overflow-x: auto; white-space: pre-wrap }}
code, pre {{ font-family: ui-monospace, monospace; font-size: 14px }}
td, th {{ text-align: left; vertical-align: top; padding: .3em 1.5em .3em 0 }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


@router.get("/problems")
async def list_problems(request: Request) -> Response:
    if wants_a_page(request):
        return _page("Problems", _list())
    return _json({"items": [_short(kind) for kind in KINDS.values()]})


@router.get("/problems/{code}")
async def explain_problem(request: Request, code: str) -> Response:
    kind = KINDS.get(code)
    if kind is None:
        raise Problem("not-found", f"There is no problem called {code!r}.")
    if wants_a_page(request):
        return _page(kind.title, _explanation(kind))
    return _json(
        _short(kind) | {"meaning": kind.meaning, "remedy": kind.remedy, "example": example(kind)}
    )


def wants_a_page(request: Request) -> bool:
    """True if a browser asks."""
    return "text/html" in request.headers.get("accept", "")


def _short(kind: Kind) -> dict[str, Any]:
    return {"code": kind.code, "status": kind.status.value, "title": kind.title}


def _list() -> str:
    rows = "\n".join(
        f'<tr><td>{kind.status.value}</td><td><a href="/problems/{kind.code}"><code>{kind.code}'
        f"</code></a></td><td>{_prose(kind.title)}</td></tr>"
        for kind in KINDS.values()
    )
    return (
        "<h1>Problems</h1>\n<p>Every error of this service has one of these codes. Its answer is "
        "an RFC 9457 document of the type <code>application/problem+json</code>. "
        'The routes are explained at <a href="/docs">/docs</a>.</p>\n'
        f"<table>\n<tr><th>Status</th><th>Code</th><th>Title</th></tr>\n{rows}\n</table>"
    )


def _explanation(kind: Kind) -> str:
    status = f"{kind.status.value} {kind.status.phrase}"
    problem = json.dumps(example(kind), indent=2, ensure_ascii=False)
    return (
        f"<h1>{_prose(kind.title)}</h1>\n"
        f"<p><code>{kind.code}</code>, with status {escape(status)}</p>\n"
        f"<h2>What it means</h2>\n<p>{_prose(kind.meaning)}</p>\n"
        f"<h2>What to do</h2>\n<p>{_prose(kind.remedy)}</p>\n"
        f"<h2>Example</h2>\n<pre>{escape(problem)}</pre>\n"
        '<p><a href="/problems">All problems</a></p>'
    )


def _prose(text: str) -> str:
    """The sentence as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _page(title: str, body: str) -> Response:
    return HTMLResponse(_FRAME.format(title=escape(title), body=body), headers=_HEADERS)


def _json(body: dict[str, Any]) -> Response:
    return Response(to_json(body), headers={"Vary": "Accept"}, media_type="application/json")
