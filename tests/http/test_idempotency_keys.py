"""A command that is sent again with its Idempotency-Key is answered as before."""

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.use_cases import submission
from tests.support.mongod import ReplicaSet
from tests.support.server import Client, Served, etag, new_id, refused, serving


def test_a_repeated_key_replays_the_first_answer(client: Client, served: Served) -> None:
    key = {"Idempotency-Key": new_id()}
    first = client.create(key)
    client.patch(first.headers["Location"], json={"name": "Day shift"}, headers=etag(first))
    head = served.head

    again = client.create(key)

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    for header in ("Location", "ETag", "Event-Position"):
        assert again.headers[header] == first.headers[header]
    assert served.head == head


def test_every_command_can_be_repeated_with_its_key(client: Client, served: Served) -> None:
    created = client.create()
    path = created.headers["Location"]

    def twice(method: str, address: str, body: Any, **headers: str) -> httpx.Response:
        headers["Idempotency-Key"] = new_id()
        first, again = (
            client.request(method, address, json=body, headers=headers) for _ in range(2)
        )
        assert first.is_success and "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["ETag"] == first.headers["ETag"]
        return first

    head = served.head
    changed = twice("PATCH", path, {"name": "Day shift"}, **etag(created))
    retired = twice("DELETE", path, None, **etag(changed))
    twice("POST", f"{path}/restore", None, **etag(retired))
    assert served.head == head + 3


def test_a_refusal_is_replayed_too(client: Client, served: Served) -> None:
    headers = {"Idempotency-Key": new_id(), "If-Match": '"1"'}
    ticket = client.created()
    path = f"/v1/tickets/{ticket['_id']}"
    client.patch(path, json={"name": "Day shift"}, headers={"If-Match": '"1"'})
    first = client.patch(path, json={"name": "Late shift"}, headers=headers)
    client.patch(path, json={"name": "Early shift"}, headers={"If-Match": '"2"'})

    again = client.patch(path, json={"name": "Late shift"}, headers=headers)

    assert refused(first, 412, "version-conflict")["currentVersion"] == 2
    assert (again.status_code, again.content) == (412, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("other", ["body", "address", "method", "If-Match"])
def test_a_key_that_comes_back_with_another_command_is_refused(
    client: Client, served: Served, other: str
) -> None:
    created = client.create()
    path, elsewhere = created.headers["Location"], f"/v1/tickets/{client.created()['_id']}"
    headers = etag(created) | {"Idempotency-Key": new_id()}
    assert client.patch(path, json={"name": "Day shift"}, headers=headers).status_code == 200
    head = served.head

    answer = {
        "body": lambda: client.patch(path, json={"name": "Late shift"}, headers=headers),
        "address": lambda: client.patch(elsewhere, json={"name": "Day shift"}, headers=headers),
        "method": lambda: client.delete(path, headers=headers),
        "If-Match": lambda: client.patch(
            path, json={"name": "Day shift"}, headers=headers | {"If-Match": '"2"'}
        ),
    }[other]()

    refused(answer, 422, "key-reused")
    assert served.head == head


def test_a_key_that_comes_back_with_another_query_is_refused(client: Client) -> None:
    created = client.create()
    path, headers = created.headers["Location"], etag(created) | {"Idempotency-Key": new_id()}
    assert client.delete(path, params={"reason": "closed"}, headers=headers).status_code == 204

    answer = client.delete(path, params={"reason": "sold"}, headers=headers)
    refused(answer, 422, "key-reused")


def test_a_key_is_private_to_its_caller(served: Served) -> None:
    ada, other = served.client(), served.client()
    bob = served.client(ada.org, sub="bob")
    key = {"Idempotency-Key": "the-same-for-everybody"}

    answers = [caller.create(key) for caller in (ada, bob, other)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["_id"] for answer in answers}) == 3


def test_a_command_whose_first_sending_still_runs_is_409(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "RUNNING_SECONDS", 0.3)
    replica_set = ReplicaSet(tmp_path, members=1)
    try:
        with serving(replica_set.uri.replace("/?", "/frozen?")) as served:
            client = served.client()
            head = served.head
            key = {"Idempotency-Key": "k"}
            with ThreadPoolExecutor(2) as pool:
                replica_set.freeze()
                sendings = [pool.submit(client.create, key) for _ in range(2)]
                (early,), (late,) = wait(sendings, return_when=FIRST_COMPLETED)
                replica_set.thaw()
                problem = early.result()
                refused(problem, 409, "command-in-progress")
                assert problem.headers["Retry-After"] == "1"
                again = client.create(key)
                assert again.headers["Idempotent-Replayed"] == "true"
                assert (again.status_code, again.content) == (201, late.result().content)
            assert served.head == head + 1
    finally:
        replica_set.close()
