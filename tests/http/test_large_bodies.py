"""Large bodies: refused briefly and quickly, and nothing changed."""

import json
from typing import Any, Final

import pytest

from api.http.limits import BODY_BYTES
from tests.support.server import TICKET, Client, Served, new_id, refused
from tests.support.store_cases import one_store

pytestmark = pytest.mark.usefixtures("nothing_changes")

JSON: Final = {"Content-Type": "application/json"}


@one_store
@pytest.mark.parametrize("known", [True, False], ids=["known length", "unknown length"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "restore"])
def test_a_body_that_is_too_large_is_refused(
    client: Client, ticket: dict[str, Any], method: str, known: bool
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    address = {"POST": "/v1/tickets", "restore": f"{path}/restore"}.get(method, path)
    verb = "POST" if method == "restore" else method
    body = json.dumps(TICKET | {"reason": "x" * BODY_BYTES}).encode()
    chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    answer = client.request(
        verb,
        address,
        content=body if known else chunks,
        headers=JSON | {"If-Match": '"1"', "Idempotency-Key": new_id()},
    )
    problem = refused(answer, 413, "body-too-large")
    assert str(BODY_BYTES) in problem["detail"]


ENORMOUS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "wrong features": ({"features": [1] * 520_000}, "invalid-features"),
    "unknown fields": ({str(number): 1 for number in range(95_000)}, "invalid-body"),
}


BUSY_SECONDS: Final = 0.5
"""Most processor time for a body: the thread that spends it answers nobody else meanwhile."""


@one_store
@pytest.mark.parametrize(("fields", "code"), ENORMOUS.values(), ids=ENORMOUS)
def test_a_body_that_is_all_wrong_is_answered_briefly_and_keeps_nobody_waiting(
    served: Served, client: Client, fields: dict[str, Any], code: str
) -> None:
    body = json.dumps(TICKET | fields, separators=(",", ":"))
    assert BODY_BYTES * 0.85 < len(body) <= BODY_BYTES
    before = served.processor_seconds()

    answer = client.post("/v1/tickets", content=body, headers=JSON)

    assert served.processor_seconds() - before < BUSY_SECONDS
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert len(answer.content) < 1_000


def test_of_many_faults_twenty_are_listed_and_the_others_counted(client: Client) -> None:
    for features, code in (([1] * 500, "invalid-body"), (["fly"] * 500, "unknown-feature")):
        problem = client.create(features=features).json()
        assert (problem["code"], len(problem["errors"])) == (code, 21)
        assert "480 more" in problem["errors"][-1]["detail"]
