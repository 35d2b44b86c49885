"""Tokens and scopes: every route under `/v1` asks for both, and says which is wrong."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import httpx
import jwt
import pytest

from infrastructure.keys.claims import SCOPES
from tests.support.server import SECRET, TICKET, Served, new_id, refused
from tests.support.store_cases import one_store

pytestmark = [pytest.mark.usefixtures("nothing_changes"), one_store]


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token that differs from a good one by `claims`; None leaves a claim out."""
    every = {
        "iss": "ticketbook",
        "aud": "ticketbook",
        "sub": "ada",
        "org": new_id(),
        "scope": " ".join(SCOPES),
        "exp": datetime.now(UTC) + timedelta(hours=1),
    } | claims
    return jwt.encode(
        {name: value for name, value in every.items() if value is not None}, secret, algorithm
    )


def unsigned() -> str:
    head, claims, _ = signed().split(".")
    none = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert head != none
    return f"{none}.{claims}."


def altered() -> str:
    """Somebody else's claims under a good signature."""
    head, _, signature = signed().split(".")
    return f"{head}.{signed(org='*').split('.')[1]}.{signature}"


LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Attempt:
    authorization: str | bytes | None
    code: str


ATTEMPTS: Final = {
    "nothing": Attempt(None, "token-missing"),
    "another scheme": Attempt("Basic YWRhOnNlY3JldA==", "token-missing"),
    "no token": Attempt("Bearer", "token-missing"),
    "no scheme": Attempt(signed(), "token-missing"),
    "garbage": Attempt("Bearer garbage", "token-invalid"),
    "three empty parts": Attempt("Bearer ..", "token-invalid"),
    "no ASCII": Attempt(b"Bearer \xe9\xff", "token-invalid"),
    "very long": Attempt("Bearer " + "a" * 9_000, "token-invalid"),
    "unsigned": Attempt(f"Bearer {unsigned()}", "token-invalid"),
    "another secret": Attempt(f"Bearer {signed('x' * 40)}", "token-invalid"),
    "another algorithm": Attempt(f"Bearer {signed('x' * 64, 'HS512')}", "token-invalid"),
    "our secret, another algorithm": Attempt(
        f"Bearer {signed((SECRET * 2)[:64], 'HS512')}", "token-invalid"
    ),
    "altered": Attempt(f"Bearer {altered()}", "token-invalid"),
    "expired": Attempt(f"Bearer {signed(exp=LONG_AGO)}", "token-expired"),
    "not valid yet": Attempt(f"Bearer {signed(nbf=LATER)}", "token-not-yet-valid"),
    "another audience": Attempt(f"Bearer {signed(aud='shop')}", "token-invalid"),
    "another issuer": Attempt(f"Bearer {signed(iss='shop')}", "token-invalid"),
    "no expiry": Attempt(f"Bearer {signed(exp=None)}", "token-invalid"),
    "no subject": Attempt(f"Bearer {signed(sub=None)}", "token-invalid"),
    "no organisation": Attempt(f"Bearer {signed(org=None)}", "token-invalid"),
    "a made-up organisation": Attempt(f"Bearer {signed(org='mine')}", "token-invalid"),
    "a subject with a line break": Attempt(f"Bearer {signed(sub='a' + chr(10))}", "token-invalid"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_token_is_not_accepted(served: Served, attempt: Attempt) -> None:
    headers: dict[str, Any] = {}
    if attempt.authorization is not None:
        headers["Authorization"] = attempt.authorization
    with httpx.Client(base_url=served.url, headers=headers, verify=False) as stranger:
        for answer in (stranger.get("/v1/tickets"), stranger.post("/v1/tickets", json=TICKET)):
            refused(answer, 401, attempt.code)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


SCOPE_OF: Final = {
    ("get", "/v1/tickets"): "tickets:read",
    ("post", "/v1/tickets"): "tickets:write",
    ("post", "/v1/tickets/batch"): "tickets:write",
    ("get", "/v1/tickets/{ticket_id}"): "tickets:read",
    ("patch", "/v1/tickets/{ticket_id}"): "tickets:write",
    ("delete", "/v1/tickets/{ticket_id}"): "tickets:write",
    ("post", "/v1/tickets/{ticket_id}/restore"): "tickets:write",
    ("get", "/v1/tickets/{ticket_id}/history"): "tickets:read",
    ("get", "/v1/systems"): "tickets:read",
    ("get", "/v1/systems/{system}"): "tickets:read",
    ("get", "/v1/audit"): "audit:read",
    ("get", "/v1/audit/reads"): "audit:read",
    ("get", "/v1/grants"): "audit:read",
    ("get", "/v1/diff"): "audit:read",
    ("get", "/v1/audit/head"): "audit:read",
    ("get", "/v1/audit/export"): "audit:read",
    ("get", "/v1/projections"): "projections:operate",
    ("get", "/v1/projections/{name}"): "projections:operate",
    ("post", "/v1/projections/{name}/parked/{ticket_id}/retry"): "projections:operate",
    ("post", "/v1/projections/{name}/parked/{ticket_id}/skip"): "projections:operate",
    ("post", "/v1/projections/{name}/rebuild"): "projections:operate",
    ("post", "/v1/projections/{name}/rollback"): "projections:operate",
    ("post", "/v1/projections/{name}/drop-old"): "projections:operate",
    ("post", "/v1/projections/{name}/verify"): "projections:operate",
    ("post", "/v1/projections/{name}/cancel"): "projections:operate",
    ("post", "/v1/projections/{name}/pause"): "projections:operate",
    ("post", "/v1/projections/{name}/resume"): "projections:operate",
    ("post", "/v1/projections/{name}/throttle"): "projections:operate",
    ("get", "/v1/operations"): "projections:operate",
    ("get", "/v1/operations/{operation_id}"): "projections:operate",
}


def test_every_route_asks_for_a_token_and_for_its_scope(served: Served) -> None:
    """Without a token 401, with every scope but the route's own 403, with that one alone neither.
    A new route must be entered above."""
    with httpx.Client(base_url=served.url, verify=False) as stranger:
        routes = stranger.get("/openapi.json").json()["paths"]
        under_v1 = {(m, path) for path in routes if path.startswith("/v1") for m in routes[path]}
        assert under_v1 == SCOPE_OF.keys()

        holding = {scope: served.client(scope=scope) for scope in SCOPES}
        lacking = {
            scope: served.client(scope=" ".join(other for other in SCOPES if other != scope))
            for scope in SCOPES
        }
        nobody = served.client(scope="")
        for (method, path), scope in SCOPE_OF.items():
            request = partial(_ask, method, path)
            for caller in (lacking[scope], nobody):
                assert scope in refused(request(caller), 403, "scope-missing")["detail"]
            refused(request(stranger), 401, "token-missing")
            answer = request(holding[scope])
            assert answer.status_code not in (401, 403), (method, path, answer.text)


def _ask(method: str, path: str, caller: httpx.Client) -> httpx.Response:
    """Call a route of the document, about nothing that exists."""
    ids = {"ticket_id": new_id(), "operation_id": new_id(), "name": "none of ours"}
    takes_a_body = method in ("post", "patch") and not path.endswith("/restore")
    return caller.request(
        method,
        path.format(system="workforce_2", **ids),
        json={"name": ""} if takes_a_body and "{name}" not in path else None,
        headers={"If-Match": "*"},
    )
