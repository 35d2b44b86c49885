"""PATCH with `grant` and `revoke`: the difference alone, on whatever the ticket holds by then."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.server import Client, Served, refused, seen
from tests.support.store_cases import one_store

ANY = {"If-Match": "*"}


def test_what_is_granted_comes_last_and_what_is_revoked_goes(client: Client) -> None:
    created = client.create(features=["get_all", "get_one", "create_shift"])

    changed = client.patch(
        created.headers["Location"],
        json={"grant": ["delete_area", "get_one"], "revoke": ["get_all"], "reason": "hall 3"},
        headers=ANY,
    )

    assert changed.status_code == 200
    assert changed.json()["features"] == ["get_one", "create_shift", "delete_area"]
    entry = client.history(created.json()["_id"], changed)[-1]
    assert (entry["granted"], entry["revoked"]) == (["delete_area"], ["get_all"])
    assert entry["reason"] == "hall 3"


def test_grants_and_revokes_that_race_for_any_version_do_not_undo_each_other(
    client: Client,
) -> None:
    created = client.create(features=["get_all"])
    path = created.headers["Location"]
    bodies = [{"grant": [name]} for name in ("get_one", "create_shift", "delete_area")]

    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda body: client.patch(path, json=body, headers=ANY),
                [*bodies, {"revoke": ["get_all"]}],
            )
        )

    last = max(answers, key=lambda answer: int(answer.headers["Event-Position"]))
    features = client.get(path, headers=seen(last)).json()["features"]
    assert sorted(features) == ["create_shift", "delete_area", "get_one"]


def test_a_name_and_a_grant_are_changed_together_or_not_at_all(
    client: Client, served: Served
) -> None:
    created = client.create(features=["get_all"])
    path, head = created.headers["Location"], served.head
    body: dict[str, Any] = {"name": "Day shift", "grant": ["fly"]}

    refused(client.patch(path, json=body, headers=ANY), 422, "unknown-feature", "/grant/0")
    assert served.head == head
    changed = client.patch(path, json=body | {"grant": ["get_one"]}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed.json()["version"]) == ("Day shift", 3)


@one_store
@pytest.mark.usefixtures("nothing_changes")
def test_the_full_list_does_not_go_with_a_difference(
    client: Client, ticket: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    for field in ("grant", "revoke"):
        body = {"features": ["get_all"], field: ["get_one"]}
        answer = client.patch(path, json=body, headers=ANY)
        problem = refused(answer, 422, "invalid-body", "")
        assert "grant" in problem["detail"] and "features" in problem["detail"]


@one_store
@pytest.mark.usefixtures("nothing_changes")
def test_too_many_features_in_a_difference_are_refused_as_in_a_full_list(
    client: Client, ticket: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    for field in ("features", "grant", "revoke"):
        answer = client.patch(path, json={field: ["get_all"] * 501}, headers=ANY)
        refused(answer, 422, "invalid-features", f"/{field}")


@one_store
@pytest.mark.usefixtures("nothing_changes")
def test_a_feature_that_is_misspelt_in_a_revoke_is_not_passed_over(
    client: Client, ticket: dict[str, Any]
) -> None:
    path = f"/v1/tickets/{ticket['_id']}"
    answer = client.patch(path, json={"revoke": ["delete_aera"]}, headers=ANY)
    problem = refused(answer, 422, "unknown-feature", "/revoke/0")
    assert "Did you mean 'delete_area'?" in problem["detail"]
