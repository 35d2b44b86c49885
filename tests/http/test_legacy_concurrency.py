"""Changes of one ticket through every door at once: each that was accepted is in its history, in
one order, and none is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo.database import Database

from infrastructure.mongodb.client import Document
from tests.support.node_callers import node_callers
from tests.support.old_backend import USERS, old_backend, old_token


def test_fifty_changes_at_once_are_all_kept_in_one_order(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    with (
        old_backend(mongodb_url, mongodb_url, mongodb_database) as backend,
        node_callers() as node,
        ThreadPoolExecutor(34) as pool,
    ):
        ticket_id = backend.write(name="Crew").json()["_id"]
        client = backend.served.client(USERS["ada"])
        assert node.connect("ada", backend.url, auth={"token": old_token("ada")})["joined"]

        def over_http(number: int) -> dict[str, Any]:
            answer = backend.write(_id=ticket_id, name=f"http {number}")
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            return told

        def over_v1(number: int) -> dict[str, Any]:
            answer = client.patch(
                f"/v1/tickets/{ticket_id}",
                json={"name": f"v1 {number}"},
                headers={"If-Match": "*"},
            )
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            return told

        pending = [pool.submit(over_http, number) for number in range(17)]
        each = [{"_id": ticket_id, "name": f"socket {number}"} for number in range(17)]
        event = "revolution_counter_1/create_update_ticket"
        emitted = node.begin("emitAll", name="ada", event=event, each=each)
        pending += [pool.submit(over_v1, number) for number in range(16)]
        accepted = [one.result() for one in pending] + node.answer(emitted)
        node.ask("close", name="ada")

        history = client.get(
            f"/v1/tickets/{ticket_id}/history",
            params={"limit": 100},
            headers={"Min-Event-Position": str(backend.served.head)},
        ).json()["items"]
        names = [item["after"]["name"] for item in history]
        wanted = [f"http {n}" for n in range(17)] + [f"socket {n}" for n in range(17)]
        wanted += [f"v1 {n}" for n in range(16)]
        assert [item["version"] for item in history] == list(range(1, 52))
        assert sorted(names[1:]) == sorted(wanted) == sorted(one["name"] for one in accepted)
        befores = [item["before"]["name"] for item in history[1:]]
        assert befores == names[:-1]
        (now,) = [one for one in backend.list().json() if one["_id"] == ticket_id]
        assert now["name"] == names[-1]
        assert {item["actor"] for item in history} == {USERS["ada"], "ada"}
