"""Pages and their cursors."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from api.http.errors.problems import Problem
from api.http.request.numbers import DIGITS
from api.wire.fields import ID_PATTERN
from api.wire.moments import POSITION
from domain.errors import Fault

DEFAULT_LIMIT: Final = 50
MOST: Final = 1_000

Limit = Annotated[
    int, Query(ge=1, le=MOST, description=f"Most items on the page: 1 to {MOST:,}"), DIGITS
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=200,
        description="`next` of the page before, as it was given; it belongs to the same filters, "
        "and `limit` may differ",
    ),
]


def cursor_after(key: str, question: Any) -> str:
    """An opaque cursor: where the page ended, bound to the question it answered."""
    return urlsafe_b64encode(f"{_digest(question)}{key}".encode()).decode().rstrip("=")


def cursor_at(position: int | None, question: Any) -> str | None:
    """The same for a page that ended at a position of the log; None when it was the last."""
    return None if position is None else cursor_after(str(position), question)


def id_of(cursor: str | None, question: Any) -> str | None:
    """The id where the page before ended."""
    return place_of(cursor, question, ID_PATTERN)


def position_of(cursor: str | None, question: Any) -> int | None:
    """The same, for pages that end at a position of the log."""
    place = place_of(cursor, question, POSITION)
    return None if place is None else int(place)


def place_of(cursor: str | None, question: Any, pattern: str) -> str | None:
    """The place where the page before ended, of whatever shape. A cursor of another question, or
    made up, is a problem and not a page."""
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (NotBase64, ValueError):
        text = ""
    digest, key = text[:16], text[16:]
    if digest != _digest(question) or not re.fullmatch(pattern, key):
        detail = "The cursor does not belong to these filters. Start again without a cursor."
        fault = Fault("/query/cursor", "invalid-cursor", detail)
        raise Problem("invalid-parameter", detail, (fault,))
    return key


def page(
    request: Request, items: list[dict[str, Any]], cursor: str | None, headers: dict[str, str]
) -> Response:
    """A page of items; `cursor` leads to the next one."""
    if cursor is not None:
        query = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
        following = f"{request.url.path}?{urlencode([*query, ('cursor', cursor)])}"
        headers = {**headers, "Link": f'<{following}>; rel="next"'}
    return answer({"items": items, "next": cursor}, headers)


def answer(body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(to_json(body), headers=headers, media_type="application/json")


def _digest(question: Any) -> str:
    return sha256(to_json(asdict(question))).hexdigest()[:16]
