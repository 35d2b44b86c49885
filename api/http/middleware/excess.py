"""The size of a request, measured before anything looks at it."""

from typing import Final, NamedTuple

from starlette.types import Scope

from api.http.limits import BODY_BYTES, HEADERS, PARAMETERS, PATH_BYTES, QUERY_BYTES

_SINGLE: Final = frozenset(
    (b"authorization", b"content-type", b"idempotency-key", b"min-event-position", b"x-request-id")
)
"""Headers that have one value: a gateway in front may have looked at the other one. The old routes
take the first, as they always did."""


class Excess(NamedTuple):
    """A limit that a request exceeds: a code of the closed list, and a sentence."""

    code: str
    detail: str


BODY_TOO_LARGE: Final = Excess(
    "body-too-large", f"The body is limited to {BODY_BYTES} bytes. Send less at a time."
)
_HEADERS: Final = Excess(
    "head-too-large", f"A request is limited to {HEADERS} headers. Send fewer."
)
_PATH: Final = Excess("address-too-long", f"A path is limited to {PATH_BYTES} bytes.")
_QUERY: Final = Excess(
    "address-too-long", f"A query is limited to {QUERY_BYTES} bytes. Ask for less at a time."
)
_PARAMETERS: Final = Excess(
    "invalid-parameter", f"A query is limited to {PARAMETERS} parameters. Ask for less at a time."
)


def excess_of(scope: Scope) -> Excess | None:
    """The first limit that the request exceeds, by its head alone."""
    headers = scope["headers"]
    if len(headers) > HEADERS:
        return _HEADERS
    if len(scope.get("raw_path") or b"") > PATH_BYTES:
        return _PATH
    query = scope["query_string"]
    if query:
        if len(query) > QUERY_BYTES:
            return _QUERY
        if query.count(b"&") >= PARAMETERS:
            return _PARAMETERS
    seen: set[bytes] = set()
    for name, value in headers:
        if name == b"content-length" and (len(value) > 15 or int(value) > BODY_BYTES):
            return BODY_TOO_LARGE
        if name in _SINGLE:
            if name in seen and scope["path"].startswith("/v1/"):
                return Excess("invalid-parameter", f"Send the header {name.decode()} once.")
            seen.add(name)
    return None
