"""The world of the old backend: its users, its tickets, its tokens, and what was recorded of it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import bson
import httpx
import jwt
from bson import ObjectId, json_util
from pymongo.database import Database

from domain.origin import Origin, milliseconds
from domain.ticket.commands import ImportTicket
from domain.ticket.events import SourceRecord, TicketImported
from infrastructure.mongodb.client import Document
from tests.support.server import Served, serving

RECORDED: Final[dict[str, Any]] = json_util.loads(
    Path(__file__).with_name("legacy").joinpath("exchanges.json").read_text(),
    json_options=json_util.JSONOptions(tz_aware=True),
)
SECRET: Final[str] = RECORDED["secret"]
USERS: Final[Mapping[str, str]] = RECORDED["user_ids"]
TICKETS: Final[Mapping[str, str]] = RECORDED["ticket_ids"]

WRITE: Final = "/api/ticket/create_update_ticket"
LIST: Final = "/api/ticket/get_tickets"

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def old_token(user: str, **claims: Any) -> str:
    """The token of a user, by name or by id."""
    return jwt.encode({"userId": USERS.get(user, user)} | claims, SECRET, algorithm="HS256")


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {old_token(user)}"}


@dataclass(frozen=True, slots=True)
class OldBackend:
    """A service that stands in for the old backend, and the users' database it looks into."""

    served: Served
    users: Database[Document]
    client: httpx.Client

    @property
    def url(self) -> str:
        return self.served.url

    def write(self, user: str = "ada", **body: Any) -> httpx.Response:
        fields = {"system": "revolution_counter_1"} | body
        return self.client.post(WRITE, json=fields, headers=bearer(user))

    def list(self, user: str = "ada", system: str = "revolution_counter_1") -> httpx.Response:
        return self.client.get(LIST, params={"system": system}, headers=bearer(user))


@contextmanager
def old_backend(
    store_url: str,
    users_url: str,
    users: Database[Document],
    tickets: Sequence[Document] = RECORDED["tickets"],
    **settings: str,
) -> Iterator[OldBackend]:
    """Serve the recorded users, and tickets to be taken over first, until the block ends."""
    users["users"].insert_many(RECORDED["users"])
    legacy = {
        "TICKETBOOK_LEGACY_JWT_SECRET": SECRET,
        "TICKETBOOK_LEGACY_USERS": users_url,
    }
    with serving(store_url, **legacy | settings) as served:
        _take_over(served, tickets)
        with httpx.Client(base_url=served.url, timeout=60, verify=False) as client:
            yield OldBackend(served, users, client)


def _take_over(served: Served, documents: Sequence[Document]) -> None:
    """Take the documents over in their order, and wait until they show."""
    service, upto = served.service, 0
    for document in documents:
        imported = TicketImported(
            origin=Origin("migration", None, "run-1", None, milliseconds(service.clock())),
            org_id=str(document["orgId"]),
            system=document["system"],
            name=document["name"],
            features=tuple(document["features"]),
            created_at=document["createdAt"],
            updated_at=document["updatedAt"],
            source=SourceRecord(
                "tickets", sha256(bson.encode(document)).hexdigest(), document["__v"]
            ),
            repairs=(),
            unknown_features=(),
        )
        upto = service.writer.execute(ImportTicket(str(document["_id"]), imported)).position
    assert service.projections["tickets"].live_version.progress.wait(upto, timeout=30)


@dataclass(slots=True)
class Conversation:
    """Recorded exchanges, held again: `<new:1>` and the like stand for the same value all along."""

    backend: OldBackend
    known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known |= {f"<user:{name}>": id_ for name, id_ in USERS.items()}
        self.known |= {f"<ticket:{name}>": id_ for name, id_ in TICKETS.items()}

    def ask(self, request: Mapping[str, Any]) -> httpx.Response:
        headers, token = dict[str, str](), request.get("token")
        if request.get("as"):
            token = old_token(request["as"])
        match request.get("auth"):
            case "bearer":
                headers["Authorization"] = f"Bearer {token}"
            case "cookie":
                headers["Cookie"] = f"auth_token={token}"
        content = request.get("raw")
        if "json" in request:
            content = json.dumps(self._filled(request["json"]))
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self.backend.client.request(
            request["method"], request["path"], headers=headers, content=content
        )

    def expected(self, recorded: Any, answered: Any) -> Any:
        """What was recorded, with what `answered` has for new ids and for times."""
        match recorded, answered:
            case dict(), dict():
                return {
                    key: self.expected(value, answered.get(key)) for key, value in recorded.items()
                }
            case list(), list() if len(recorded) == len(answered):
                return [self.expected(*pair) for pair in zip(recorded, answered, strict=True)]
            case "<time>", str():
                return answered if TIME.fullmatch(answered) else recorded
            case str(), str() if recorded.startswith("<new:") and ObjectId.is_valid(answered):
                return self.known.setdefault(recorded, answered)
            case _:
                return self._filled(recorded)

    def _filled(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._filled(one) for key, one in value.items()}
            case list():
                return [self._filled(one) for one in value]
            case str() if value.startswith("<new:"):
                return self.known.setdefault(value, str(ObjectId()))
            case str():
                return self.known.get(value, value)
            case _:
                return value
