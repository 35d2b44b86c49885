"""The old routes beyond what was recorded: what they say of themselves, and what they refuse."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import bson
import httpx
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from domain.origin import Origin, milliseconds
from domain.ticket.commands import RetireTicket
from infrastructure.mongodb.client import Document
from tests.support.health import metrics
from tests.support.old_backend import (
    LIST,
    RECORDED,
    TICKETS,
    USERS,
    WRITE,
    OldBackend,
    bearer,
    old_backend,
    old_token,
)
from tests.support.old_system import RAW
from tests.support.server import Client, serving, until

ORG = USERS["ada"]


@pytest.fixture
def backend(mongodb_url: str, mongodb_database: Database[Document]) -> Iterator[OldBackend]:
    with old_backend(mongodb_url, mongodb_url, mongodb_database) as backend:
        yield backend


def error(answer: httpx.Response, status: int) -> str:
    """What a refusal says, once it has the old shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == ["error"]
    said: str = answer.json()["error"]
    return said


def new_client(backend: OldBackend) -> Client:
    """A client of `/v1` in the organisation of Ada."""
    return backend.served.client(ORG)


def test_a_change_is_the_event_that_v1_would_make_with_the_user_as_its_actor(
    backend: OldBackend,
) -> None:
    answer = backend.client.post(
        WRITE,
        json={"name": "Night", "system": "workforce_2", "features": ["get_all", "get_all"]},
        headers=bearer("ada") | {"X-Request-ID": "old-1"},
    )
    ticket = answer.json()
    backend.write(_id=ticket["_id"], system="workforce_2", name="Nights", features=[])

    assert answer.headers["X-Request-ID"] == "old-1"
    history = new_client(backend).get(
        f"/v1/tickets/{ticket['_id']}/history",
        headers={"Min-Event-Position": str(backend.served.head)},
    )
    items = history.json()["items"]
    actions = ["ticket.created", "ticket.renamed", "ticket.features_changed"]
    assert [item["action"] for item in items] == actions
    assert {item["actor"] for item in items} == {USERS["ada"]}
    assert items[0]["correlationId"] == "old-1"
    assert items[1]["correlationId"] == items[2]["correlationId"] != "old-1"
    assert items[2]["revoked"] == ["get_all"]


def test_a_write_shows_as_soon_as_it_is_answered(backend: OldBackend) -> None:
    client = new_client(backend)
    for number in range(20):
        ticket = backend.write(name=f"Crew {number}", features=["get_one"]).json()
        assert client.get(f"/v1/tickets/{ticket['_id']}").json()["name"] == f"Crew {number}"


def test_a_ticket_keeps_its_revision_and_its_time_of_creation(backend: OldBackend) -> None:
    ticket_id = TICKETS["op_rc"]
    changed = backend.write(_id=ticket_id.upper(), name="Operators").json()

    assert (changed["_id"], changed["__v"]) == (ticket_id, 0)
    assert changed["createdAt"] == "2025-10-28T09:30:00.123Z" < changed["updatedAt"]


def test_an_update_that_sends_nothing_answers_what_there_is(backend: OldBackend) -> None:
    head = backend.served.head
    answer = backend.write(_id=TICKETS["op_rc"])
    assert answer.json() == backend.list().json()[1]
    assert backend.served.head == head


def test_a_retired_ticket_is_not_there_and_grants_nothing(backend: OldBackend) -> None:
    service = backend.served.service
    origin = Origin("ada", None, "run-1", None, milliseconds(service.clock()))
    for name in ("op_rc", "sup_wf"):
        done = service.writer.execute(RetireTicket(TICKETS[name], origin, None, None))
    assert service.projections["tickets"].live_version.progress.wait(done.position, timeout=30)

    said = error(backend.write(_id=TICKETS["op_rc"], name="x"), 404)
    assert said == "Ticket not found or access denied"
    assert [one["_id"] for one in backend.list().json()] == [TICKETS["adm_rc"]]
    said = error(backend.list("di", "workforce_2"), 403)
    assert said == "Feature get_tickets not accessible"


def test_a_ticket_of_another_organisation_grants_nothing(backend: OldBackend) -> None:
    theirs = {"orgId": ObjectId(USERS["bo"]), "ticket": ObjectId(TICKETS["adm_rc"])}
    backend.users["users"].update_one(
        {"_id": ObjectId(USERS["bo"])}, {"$set": {"revolution_counter_1": theirs}}
    )
    assert error(backend.list("bo"), 403) == "Feature get_tickets not accessible"


def test_a_user_is_looked_up_at_each_request(backend: OldBackend) -> None:
    assert backend.list("bo").status_code == 200
    backend.users["users"].delete_one({"_id": ObjectId(USERS["bo"])})
    assert error(backend.list("bo"), 401) == "User not found"


@pytest.mark.parametrize(
    "part",
    [
        {"orgId": "nobody's", "ticket": ObjectId(TICKETS["adm_rc"])},
        {"ticket": ObjectId(TICKETS["adm_rc"])},
        "a string",
        None,
    ],
)
def test_a_damaged_part_of_a_user_gives_no_access(backend: OldBackend, part: object) -> None:
    backend.users["users"].update_one(
        {"_id": ObjectId(USERS["ada"])}, {"$set": {"workforce_2": part}}
    )
    assert backend.list("ada").status_code == 200
    assert error(backend.list("ada", "workforce_2"), 403) == "Access denied to this system"


def test_a_part_of_a_user_that_names_no_system_of_the_catalogue_opens_nothing(
    backend: OldBackend,
) -> None:
    users, ada = backend.users["users"], {"_id": ObjectId(USERS["ada"])}
    part = {"orgId": ObjectId(ORG), "ticket": ObjectId(TICKETS["adm_rc"])}
    document = users.find_one(ada, {"hashedPassword": 0}) or {}
    systems = [name for name, value in document.items() if isinstance(value, dict)]
    users.update_one(ada, {"$unset": dict.fromkeys(systems, ""), "$set": {"preferences": part}})
    assert error(backend.list("ada"), 403) == "Feature get_tickets not accessible"
    users.update_one(ada, {"$set": {"revolution_counter_1": part}})
    assert backend.list("ada").status_code == 200


def test_an_odd_field_of_a_user_keeps_no_user_out(backend: OldBackend) -> None:
    users, ada = backend.users["users"], {"_id": ObjectId(USERS["ada"])}
    found = users.find_one_and_delete(ada)
    odd = bson.encode({**(found or {}), "createdAt": DatetimeMS(10**15), "name": "??"})
    raw = users.with_options(RAW)
    raw.insert_one(RawBSONDocument(odd.replace(b"??", b"\xff?")))
    assert backend.list("ada").status_code == 200


def test_an_imported_name_that_is_against_the_rules_may_be_sent_back(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    odd = [one | {"name": f"{one['name']}\t{'x' * 250}"} for one in RECORDED["tickets"]]
    with old_backend(mongodb_url, mongodb_url, mongodb_database, odd) as backend:
        one = backend.list().json()[0]
        changed = backend.write(_id=one["_id"], name=one["name"], features=["create_shift"])
        assert (changed.status_code, changed.json()["features"]) == (200, ["create_shift"])
        assert changed.json()["name"] == one["name"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"userId": "xyz"}, "Authentication failed"),
        ({"userId": 7}, "Authentication failed"),
        ({"userId": ""}, "Invalid token"),
        ({"exp": "soon"}, "Authentication failed"),
        ({"nbf": 99_999_999_999}, "Authentication failed"),
    ],
)
def test_a_token_that_claims_nonsense_is_refused(
    backend: OldBackend, claims: dict[str, object], said: str
) -> None:
    headers = {"Authorization": f"Bearer {old_token('ada', **claims)}"}
    assert error(backend.client.get(LIST, headers=headers), 401) == said


def test_a_token_signed_by_nobody_is_refused(backend: OldBackend) -> None:
    # {"alg":"none"} and Ada's id
    token = "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiI1MmYyMjY2NWE2MGMxMmQyODkxODVkOTUifQ."
    answer = backend.client.get(LIST, headers={"Authorization": f"Bearer {token}"})
    assert error(answer, 401) == "Authentication failed"


def test_each_door_takes_its_own_tokens_only(backend: OldBackend) -> None:
    ours = new_client(backend).headers["Authorization"]
    assert error(backend.client.get(LIST, headers={"Authorization": ours}), 401)
    assert backend.client.get("/v1/tickets", headers=bearer("ada")).status_code == 401


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "Send a JSON object"),
        ('"text"', "Send a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"extra": ' + "[" * 33 + "]" * 33 + "}", "nested too deeply"),
        ('{"name": ' + "9" * 5_000 + "}", "The body holds a number with too many digits"),
        ('{"name": "\\u00"}', "The body is not JSON"),
        ('{"system": 7}', "System must be text"),
        ('{"system": ""}', "System is required"),
        ('{"system": "workforce_2", "name": 7}', "Name must be text"),
        ('{"system": "workforce_2", "name": ""}', "The name is empty."),
        ('{"system": "workforce_2", "name": "\\ud800"}', "control characters"),
        ('{"system": "workforce_2", "name": "x", "features": null}', "Features must be"),
        ('{"system": "workforce_2", "name": "x", "features": [7]}', "Features must be"),
        ('{"system": "workforce_2", "name": "x", "_id": "ab"}', "_id is not the id"),
        ('{"system": "workforce_2", "name": "x", "_id": {"$gt": ""}}', "_id is not the id"),
    ],
)
def test_a_mistake_in_the_body_is_told_and_changes_nothing(
    backend: OldBackend, body: str, said: str
) -> None:
    head = backend.served.head
    headers = bearer("ada") | {"Content-Type": "application/json"}
    assert said in error(backend.client.post(WRITE, content=body, headers=headers), 400)
    assert backend.served.head == head


def test_what_a_page_elsewhere_can_send_unasked_is_not_read(backend: OldBackend) -> None:
    answer = backend.client.post(
        WRITE,
        content='{"name": "x", "system": "workforce_2"}',
        headers={"Cookie": f"auth_token={old_token('ada')}", "Content-Type": "text/plain"},
    )
    assert "Content-Type: application/json" in error(answer, 400)


def test_a_body_beyond_the_limit_is_refused_in_the_old_shape(backend: OldBackend) -> None:
    answer = backend.client.post(WRITE, content=b" " * 1_048_577, headers=bearer("ada"))
    assert "limited to 1048576 bytes" in error(answer, 413)
    assert "Deprecation" in answer.headers
    pieces = (b" " * 65_536 for _ in range(17))
    headers = bearer("ada") | {"Content-Type": "application/json"}
    answer = backend.client.post(WRITE, content=pieces, headers=headers)
    assert "limited to 1048576 bytes" in error(answer, 413)


def test_addresses_are_as_forgiving_as_they_were(backend: OldBackend) -> None:
    query = {"system": "revolution_counter_1"}
    expected = backend.list()
    for path in ("/api/ticket/get_tickets/", "/api/ticket/Get_Tickets", "/API/Ticket/GET_TICKETS"):
        answer = backend.client.get(path, params=query, headers=bearer("ada"))
        assert (answer.status_code, answer.content) == (200, expected.content)
    head = backend.client.head(LIST, params=query, headers=bearer("ada"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == expected.headers["Content-Length"]
    said = error(backend.client.get("/API/ticket/nope"), 404)
    assert said == error(backend.client.get("/api/ticket/nope"), 404)


def test_several_systems_at_once_are_none(backend: OldBackend) -> None:
    asked = "?system=revolution_counter_1&system=workforce_2"
    answer = backend.client.get(LIST + asked, headers=bearer("ada"))
    assert error(answer, 400) == "System must be text"


def test_every_answer_says_how_long_it_will_be_there(backend: OldBackend) -> None:
    for answer in (
        backend.list(),
        backend.write(name="Crew"),
        backend.client.get(LIST),
        backend.client.get("/api/ticket/nope"),
    ):
        assert answer.headers["Deprecation"] == "@1795478400"
        assert answer.headers["Sunset"] == "Fri, 31 Dec 2027 00:00:00 GMT"
        assert answer.headers["Link"] == '</v1/tickets>; rel="successor-version"'
    assert "Deprecation" not in new_client(backend).get("/v1/tickets").headers


def test_sunset_and_origins_can_be_set(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    page = "https://app.example.org"
    with old_backend(
        mongodb_url,
        mongodb_url,
        mongodb_database,
        TICKETBOOK_LEGACY_SUNSET="2028-02-29",
        TICKETBOOK_LEGACY_ORIGINS=page,
    ) as backend:
        asked = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        before = backend.client.options(WRITE, headers=asked)
        assert before.status_code == 200
        assert before.headers["Access-Control-Allow-Origin"] == page
        assert before.headers["Access-Control-Allow-Credentials"] == "true"
        answer = backend.client.get(LIST, headers=bearer("ada") | {"Origin": page})
        assert answer.headers["Access-Control-Allow-Origin"] == page
        assert answer.headers["Sunset"] == "Tue, 29 Feb 2028 00:00:00 GMT"
        answer = backend.client.post(WRITE, content=b" " * 1_048_577, headers={"Origin": page})
        assert (answer.status_code, "Deprecation" in answer.headers) == (413, True)
        assert answer.headers["Access-Control-Allow-Origin"] == page
        answer = backend.client.get(LIST, headers=bearer("ada") | {"Origin": "https://evil.org"})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_old_secret_of_any_length_goes_on_working(
    mongodb_url: str, mongodb_database: Database[Document]
) -> None:
    with old_backend(
        mongodb_url, mongodb_url, mongodb_database, TICKETBOOK_LEGACY_JWT_SECRET="short"
    ) as backend:
        # {"userId": Ada's}, signed with "short"
        token = (
            "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VySWQiOiI1MmYyMjY2NWE2MGMxMmQyODkxODVkOTUifQ."
            "iJhMsp0vDhVybCjaRdnp_LNk-m5meN_rnO7dwRrldeE"
        )
        headers = {"Authorization": f"Bearer {token}"}
        assert error(backend.client.get(LIST, headers=headers), 400) == "System is required"


def test_without_their_secret_the_old_routes_are_off(mongodb_url: str) -> None:
    with serving(mongodb_url) as served:
        answer = httpx.get(f"{served.url}{LIST}?system=workforce_2", headers=bearer("ada"))
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_tickets_are_listed_in_the_order_in_which_they_were_made(backend: OldBackend) -> None:
    # the first two were made in the same millisecond
    made = [backend.write(name=f"Crew {number}").json()["_id"] for number in range(3)]
    order = [TICKETS["adm_rc"], TICKETS["op_rc"], *made]
    assert [one["_id"] for one in backend.list().json()] == order

    for ticket_id in (made[1], TICKETS["adm_rc"], made[0]):
        backend.write(_id=ticket_id, name="changed since")

    assert [one["_id"] for one in backend.list().json()] == order


def test_a_client_that_leaves_is_a_400_of_its_route_and_no_failure(
    backend: OldBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    host, port = urlsplit(backend.url).netloc.split(":")
    authorization = f"Authorization: {bearer('ada')['Authorization']}\r\n"
    head = f"POST {WRITE} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 100\r\n\r\n"
    with socket.create_connection((host, int(port))) as leaving:
        leaving.sendall(head.encode() + b'{"na')

    client = new_client(backend)
    counted = ("ticketbook_http_requests_total", "POST", WRITE, "400")
    until(lambda: metrics(client).get(counted, 0) == 1)
    assert not [name for name in metrics(client) if name[-1] == "500"]
    assert "Traceback" not in capsys.readouterr().out
