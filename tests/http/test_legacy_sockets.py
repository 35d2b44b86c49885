"""Old callers over Socket.IO, and old readers of the collection, with their own libraries: the
real `socket.io-client` and real mongoose models."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest
import socketio
from bson import ObjectId
from pymongo.database import Database

from api.legacy import sockets
from api.legacy.sockets import JOIN_SECONDS
from infrastructure.configuration.settings import BUNDLED
from infrastructure.mongodb.client import Document
from tests.support.node_callers import NodeCallers, node_callers
from tests.support.old_backend import (
    RECORDED,
    SECRET,
    TICKETS,
    USERS,
    OldBackend,
    old_backend,
    old_token,
)
from tests.support.server import serving_apart, until

WRITE = "revolution_counter_1/create_update_ticket"
LIST = "revolution_counter_1/get_tickets"


@pytest.fixture(scope="session")
def node() -> Iterator[NodeCallers]:
    with node_callers() as node:
        yield node


@pytest.fixture
def backend(
    mongodb_url: str, mongodb_database: Database[Document], tmp_path: Path
) -> Iterator[OldBackend]:
    """On MongoDB, with a catalogue file of its own."""
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(BUNDLED.read_text())
    with old_backend(
        mongodb_url,
        mongodb_url,
        mongodb_database,
        TICKETBOOK_CATALOGUE=str(catalogue),
        TICKETBOOK_LEGACY_ORIGINS="https://app.example.org",
    ) as backend:
        yield backend


@pytest.fixture
def ada(backend: OldBackend, node: NodeCallers) -> Iterator[str]:
    """Ada's connection."""
    assert node.connect("ada", backend.url, auth={"token": old_token("ada")})["joined"]
    yield "ada"
    node.ask("close", name="ada")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("way", ["token", "cookie"])
def test_a_client_connects_with_token_and_with_cookie(
    backend: OldBackend, node: NodeCallers, way: str, transport: str
) -> None:
    options = (
        {"auth": {"token": old_token("ada")}}
        if way == "token"
        else {"extraHeaders": {"Cookie": f"theme=dark; auth_token={old_token('ada')}"}}
    )
    told = node.connect("one", backend.url, transports=[transport], **options)
    assert told == {"joined": True, "args": [], "transport": transport}

    listed = node.emit("one", LIST)

    assert listed == backend.list().json()
    node.ask("close", name="one")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Authentication required"),
        ({"auth": {"token": "garbage"}}, "Authentication failed"),
        ({"auth": {"token": {"$gt": ""}}}, "Authentication required"),
        ({"auth": {"token": old_token("0" * 24)}}, "User not found"),
        ({"auth": {"token": old_token("ada", exp=1)}}, "Authentication failed"),
        ({"extraHeaders": {"Cookie": "auth_token=garbage"}}, "Authentication failed"),
    ],
)
def test_a_client_without_a_valid_token_is_refused(
    backend: OldBackend, node: NodeCallers, options: dict[str, object], said: str
) -> None:
    assert node.connect("stranger", backend.url, **options) == {"refused": said}


def test_tickets_are_created_changed_and_listed_as_over_http(
    backend: OldBackend, node: NodeCallers, ada: str
) -> None:
    made = node.emit(ada, WRITE, {"name": "Night", "features": ["get_all", "get_one"]})
    over_http = backend.write(name="Night", features=["get_all", "get_one"]).json()
    assert list(made) == list(over_http)
    assert made | {"_id": 0, "createdAt": 0, "updatedAt": 0} == over_http | {
        "_id": 0,
        "createdAt": 0,
        "updatedAt": 0,
    }

    changed = node.emit(ada, WRITE, {"_id": made["_id"], "name": "Nights"})

    assert changed["name"] == "Nights"
    assert changed["features"] == ["get_all", "get_one"]
    assert list(changed) == list(backend.write(_id=made["_id"], name="Nights").json())
    listed = node.ask("emitBare", name=ada, event=LIST)
    assert [one["_id"] for one in listed if one["name"] == "Nights"] == [made["_id"]]
    history = backend.served.client(USERS["ada"]).get(
        f"/v1/tickets/{made['_id']}/history",
        headers={"Min-Event-Position": str(backend.served.head)},
    )
    assert {item["actor"] for item in history.json()["items"]} == {USERS["ada"]}


@pytest.mark.parametrize(
    ("event", "data", "said"),
    [
        (WRITE, None, "Send a JSON object with name, system and features"),
        (WRITE, {"features": []}, "Name is required"),
        (
            WRITE,
            {"_id": "xyz", "name": "x"},
            "_id is not the id of a ticket: 24 hexadecimal digits",
        ),
        (WRITE, {"_id": "0" * 24, "name": "x"}, "Ticket not found or access denied"),
        (
            WRITE,
            {"name": "x", "features": ["fly_to_moon"]},
            "revolution_counter_1 has no feature 'fly_to_moon'.",
        ),
        (
            "workforce_2/create_update_ticket",
            {"_id": TICKETS["op_rc"], "name": "x", "system": "revolution_counter_1"},
            "Ticket not found or access denied",
        ),
        ("donear_3/create_update_ticket", {"name": "x"}, "Access denied to this system"),
        ("nope/get_tickets", {}, "Access denied to this system"),
        ("/get_tickets", {}, "System is required"),
        ("revolution_counter_1/delete_everything", {}, "Not found"),
    ],
)
def test_a_mistake_is_acknowledged_with_what_is_wrong(
    backend: OldBackend, node: NodeCallers, ada: str, event: str, data: object, said: str
) -> None:
    head = backend.served.head
    assert node.emit(ada, event, data) == {"error": said}
    assert backend.served.head == head


def test_a_feature_that_is_not_held_is_refused(backend: OldBackend, node: NodeCallers) -> None:
    assert node.connect("di", backend.url, auth={"token": old_token("di")})["joined"]
    told = node.emit("di", "workforce_2/create_update_ticket", {"name": "x"})
    assert told == {"error": "Feature create_update_ticket not accessible"}
    assert len(node.emit("di", "workforce_2/get_tickets", {})) == 2
    node.ask("close", name="di")


def test_a_user_is_looked_up_at_each_event(
    backend: OldBackend, node: NodeCallers, ada: str
) -> None:
    backend.users["users"].delete_one({"_id": ObjectId(USERS["ada"])})
    assert node.emit(ada, LIST) == {"error": "User not found"}


def test_a_system_that_is_added_while_running_has_its_events_without_code(
    backend: OldBackend, node: NodeCallers, ada: str, tmp_path: Path
) -> None:
    access = {"orgId": ObjectId(USERS["ada"]), "role": "admin"}
    backend.users["users"].update_one(
        {"_id": ObjectId(USERS["ada"])}, {"$set": {"greenhouse_9": access}}
    )
    event, data = "greenhouse_9/create_update_ticket", {"name": "G", "features": ["water_plants"]}
    assert "greenhouse_9" in node.emit(ada, event, data)["error"]

    with (tmp_path / "catalogue.toml").open("a") as catalogue:
        catalogue.write(
            '\n[systems.greenhouse_9]\ndescription = "Plants."\n'
            '[systems.greenhouse_9.features]\nwater_plants = "Water the plants."\n'
        )
    until(lambda: "_id" in node.emit(ada, event, data))

    (ticket,) = node.emit(ada, "greenhouse_9/get_tickets")
    assert (ticket["system"], ticket["features"]) == ("greenhouse_9", ["water_plants"])


def raw_answers(backend: OldBackend, user: str, *packets: str) -> str:
    """What a client of its own making is sent for its packets, once it is connected."""
    address, query = f"{backend.url}/socket.io/", {"EIO": "4", "transport": "polling"}
    query["sid"] = json.loads(httpx.get(address, params=query, verify=False).text[1:])["sid"]
    hello = f"40{json.dumps({'token': old_token(user)})}"
    for packet in (hello, *packets):
        assert httpx.post(address, params=query, content=packet, verify=False).text == "OK"
    heard = ""
    while "43" not in heard:
        heard += httpx.get(address, params=query, timeout=30, verify=False).text
    return heard


def test_an_event_cannot_change_who_the_client_is(backend: OldBackend) -> None:
    disguised = json.dumps(["connect", {}, {"token": old_token("bo")}])
    heard = raw_answers(backend, "cy", f"42{disguised}", f'421["{LIST}"]')
    assert '431[{"error":"Feature get_tickets not accessible"}]' in heard
    heard = raw_answers(backend, "cy", f"421{disguised}")
    assert '431[{"error":"Not found"}]' in heard


def test_packets_that_make_no_sense_disturb_nobody(
    backend: OldBackend, caplog: pytest.LogCaptureFixture
) -> None:
    nonsense = ("42[]", "4", "49", "4" + "[" * 5_000)
    heard = raw_answers(backend, "ada", *nonsense, f'421["{LIST}"]')
    assert '"name":"Operator"' in heard
    raw_answers(backend, "ada", "421[7]")
    assert [record for record in caplog.records if record.name == "engineio"] == []
    assert backend.list().status_code == 200


def test_pages_of_the_configured_origins_may_connect_and_no_others(
    backend: OldBackend, node: NodeCallers
) -> None:
    token = {"auth": {"token": old_token("ada")}}
    for origin in ("https://app.example.org", backend.url):
        assert node.connect("p", backend.url, extraHeaders={"Origin": origin}, **token)["joined"]
        node.ask("close", name="p")
    for transport in ("polling", "websocket"):
        told = node.connect(
            "p",
            backend.url,
            extraHeaders={"Origin": "https://evil.example.org"},
            transports=[transport],
            **token,
        )
        assert "refused" in told
    query = {"EIO": "4", "transport": "polling"}
    answer = httpx.get(
        f"{backend.url}/socket.io/", params=query, headers={"Origin": "https://app.example.org"}
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"


def test_mongoose_finds_and_populates_the_ticket_that_was_just_written(
    backend: OldBackend, node: NodeCallers, ada: str, mongodb_url: str
) -> None:
    ticket = node.emit(ada, WRITE, {"name": "Night", "features": ["get_all", "get_one"]})
    backend.users["users"].update_one(
        {"_id": ObjectId(USERS["cy"])},
        {"$set": {"revolution_counter_1.ticket": ObjectId(ticket["_id"])}},
    )

    read = node.ask("read", uri=mongodb_url, ticket=ticket["_id"], user=USERS["cy"])

    assert read["document"] == read["raw"] == ticket
    assert ticket["_id"] in read["listed"]
    assert read["populated"]["name"] == "cy"
    assert read["populated"]["revolution_counter_1"]["ticket"] == ticket


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_service_that_ends_sends_its_clients_away_at_once(
    mongodb_url: str, mongodb_database: Database[Document], node: NodeCallers, transport: str
) -> None:
    mongodb_database["users"].insert_many(RECORDED["users"])
    with serving_apart(mongodb_url, TICKETBOOK_LEGACY_JWT_SECRET=SECRET) as server:
        auth = {"token": old_token("ada")}
        assert node.connect("one", server.url, auth=auth, transports=[transport])["joined"]
    # else it would wait for the client's next poll, give up after ten seconds, and log that
    assert not [line for line in server.stderr if "graceful shutdown exceeded" in line]
    node.ask("close", name="one")


def test_the_figures_have_one_name_for_the_address(backend: OldBackend, ada: str) -> None:
    text = backend.served.client().get("/metrics").text
    assert 'route="/socket.io"' in text
    assert urlsplit(backend.url).netloc not in text


def test_a_connection_that_nobody_joins_ends(
    backend: OldBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_is_up, waits = Event(), list[float]()

    async def sleep(_: socketio.AsyncServer, seconds: float) -> None:
        waits.append(seconds)
        while not time_is_up.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(socketio.AsyncServer, "sleep", sleep)
    joined, refused, silent = [_engine_session(backend) for _ in range(3)]
    for session, token in ((joined, old_token("ada")), (refused, "garbage")):
        assert backend.client.post(session, content="40" + json.dumps({"token": token})).is_success
        backend.client.get(session)  # told what became of it

    time_is_up.set()
    for session in (refused, silent):
        until(partial(_is_gone, backend, session))

    asked = backend.client.post(joined, content=f'420["{LIST}"]')
    assert asked.status_code == 200
    assert waits == [JOIN_SECONDS] * 3


def _is_gone(backend: OldBackend, session: str) -> bool:
    return backend.client.get(session).status_code == 400


def _engine_session(backend: OldBackend) -> str:
    """The address of a new session of Engine.IO, which nobody has joined yet."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = json.loads(backend.client.get(path).text.removeprefix("0"))
    return f"{path}&sid={opened['sid']}"


def _joined(backend: OldBackend) -> str:
    session = _engine_session(backend)
    hello = "40" + json.dumps({"token": old_token("ada")})
    assert backend.client.post(session, content=hello).is_success
    backend.client.get(session)
    return session


@pytest.mark.parametrize(
    "packets",
    [
        ['451-["x"]', "b" + "A" * 900_000, '451-["x"]', "bAAAA", '421["x"]'],
        ['454-["x"]', *["b" + "A" * 100_000] * 4, '421["x"]'],
    ],
    ids=["one after the other", "four"],
)
def test_a_few_attachments_are_taken(backend: OldBackend, packets: list[str]) -> None:
    session = _joined(backend)
    for packet in packets:
        assert backend.client.post(session, content=packet).is_success
    assert '431[{"error":"Not found"}]' in backend.client.get(session).text


@pytest.mark.parametrize(
    "packets",
    [['455-["x"]'], ['4599999-["x"]'], ['453-["x"]', *["b" + "A" * 900_000] * 3]],
    ids=["five", "many", "large"],
)
def test_too_many_or_too_large_attachments_end_the_session(
    backend: OldBackend, packets: list[str]
) -> None:
    session = _joined(backend)
    for packet in packets:
        backend.client.post(session, content=packet)
    assert _is_gone(backend, session)


def test_a_client_that_fetches_no_answer_is_sent_away(backend: OldBackend) -> None:
    session = _joined(backend)
    sixteen = "\x1e".join(['421["x"]'] * 16)

    answers = [backend.client.post(session, content=sixteen) for _ in range(12)]

    assert not answers[-1].is_success
    assert _is_gone(backend, session)


def test_a_client_waits_for_answers_before_it_may_ask_for_more(
    backend: OldBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "EVENTS_AT_ONCE", 2)
    session = _joined(backend)

    backend.client.post(session, content="\x1e".join([f'421["{LIST}"]'] * 5))

    heard = ""
    while heard.count("431[") < 5:
        heard += backend.client.get(session).text
    assert heard.count("Wait for answers: 2 events run already") == 3
