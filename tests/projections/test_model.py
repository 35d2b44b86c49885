"""Random commands through the real writer and views, against a model that fits on one page.

The model holds what each ticket should be and which audit entries there should be. It is written
without a look at the rules' code: dictionaries and ifs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pymongo.database import Database

from domain.deciding import Key
from domain.errors import KeyReused, Refusal
from domain.ticket.commands import Command
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.mongodb.client import Document
from projections.audit.projection import AUDIT
from projections.audit.search import AuditFilter
from projections.running.applier import Applier
from projections.running.projection import Projection
from projections.tickets.projection import TICKETS
from projections.tickets.search import TicketFilter
from projections.versions.control import roll_back
from projections.versions.followed import LiveProjection
from projections.versions.registry import Versions
from projections.versions.verification import verify
from tests.support.rebuilds import catch_up, rebuilt
from tests.support.stories import (
    ACME,
    CATALOGUE,
    GLOBEX,
    START,
    catalogue,
    change,
    create,
    id_,
    rename,
    restore,
    retire,
)
from tests.support.view_rows import Opened, open_store

IDS = [id_(number) for number in range(1, 5)]
KNOWN = list(CATALOGUE.systems["workforce_2"].features)


@dataclass(frozen=True)
class Request:
    """What somebody asks. `stale` is how far the version they name is off; None names none."""

    kind: str
    id: str
    org: str
    caller: str | None
    stale: int | None
    name: str
    features: tuple[str, ...]

    def commands(self, version: int) -> list[Command]:
        expected = None if self.stale is None else version + self.stale
        renaming = rename(self.name, self.id, within=self.caller, expected=expected)
        changing = change(*self.features, ticket_id=self.id, within=self.caller, expected=expected)
        match self.kind:
            case "create":
                return [create(self.id, org_id=self.org, name=self.name, features=self.features)]
            case "rename":
                return [renaming]
            case "change":
                return [changing]
            case "both":
                return [renaming, change(*self.features, ticket_id=self.id, within=self.caller)]
            case "retire":
                return [retire(self.id, within=self.caller, expected=expected)]
            case _:
                return [restore(self.id, within=self.caller, expected=expected)]


REQUESTS = st.builds(
    Request,
    kind=st.sampled_from(["create", "create", "rename", "change", "both", "retire", "restore"]),
    id=st.sampled_from(IDS),
    org=st.sampled_from([ACME, GLOBEX]),
    caller=st.sampled_from([ACME, ACME, GLOBEX, None]),
    stale=st.sampled_from([None, None, 0, 0, 1, -1]),
    name=st.sampled_from(["Foreman", "Chief", "Boss", "Boss", ""]),
    features=st.lists(st.sampled_from([*KNOWN, *KNOWN, *KNOWN, "fly"]), max_size=4).map(tuple),
)


class Refused(Exception):
    """The model says no, with the code that the service should give."""


@dataclass
class Model:
    """What should be true: tickets by id, audit entries in order."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: list[tuple[str, str, list[str], list[str]]] = field(default_factory=list)

    def version(self, id: str) -> int:
        return int(self.tickets[id]["version"]) if id in self.tickets else 0

    def after(self, request: Request) -> "Model":
        """The model once the request is accepted. Raises `Refused`."""
        model = deepcopy(self)
        if request.kind == "create":
            model._create(request)
            return model
        ticket = model.tickets.get(request.id)
        if ticket is None or request.caller not in (None, ticket["org"]):
            raise Refused("ticket-not-found")
        if request.stale:
            raise Refused("version-conflict")
        if request.kind in ("rename", "both"):
            model._rename(request)
        if request.kind in ("change", "both"):
            model._change(request)
        if request.kind in ("retire", "restore"):
            model._retire_or_restore(request.id, request.kind == "retire")
        return model

    def _create(self, request: Request) -> None:
        if request.id in self.tickets:
            raise Refused("ticket-exists")
        self._check(request.name, request.features)
        features = _each_once(request.features)
        self.tickets[request.id] = {
            "org": request.org,
            "name": request.name,
            "features": features,
            "retired": False,
            "version": 0,
        }
        self._happened(request.id, "ticket.created", granted=features)

    def _rename(self, request: Request) -> None:
        ticket = self._in_use(request.id)
        self._check(request.name, ())
        if ticket["name"] != request.name:
            ticket["name"] = request.name
            self._happened(request.id, "ticket.renamed")

    def _change(self, request: Request) -> None:
        ticket = self._in_use(request.id)
        self._check("fine", request.features)
        before, after = ticket["features"], _each_once(request.features)
        if before != after:
            ticket["features"] = after
            granted = [name for name in after if name not in before]
            revoked = [name for name in before if name not in after]
            self._happened(request.id, "ticket.features_changed", granted, revoked)

    def _retire_or_restore(self, id: str, retire: bool) -> None:
        ticket = self.tickets[id]
        if ticket["retired"] != retire:
            ticket["retired"] = retire
            if retire:
                self._happened(id, "ticket.retired", revoked=ticket["features"])
            else:
                self._happened(id, "ticket.restored", granted=ticket["features"])

    def _in_use(self, id: str) -> dict[str, Any]:
        if self.tickets[id]["retired"]:
            raise Refused("ticket-retired")
        return self.tickets[id]

    def _check(self, name: str, features: tuple[str, ...]) -> None:
        if not name:
            raise Refused("invalid-name")
        if "fly" in features:
            raise Refused("unknown-feature")

    def _happened(
        self, id: str, what: str, granted: list[str] | None = None, revoked: list[str] | None = None
    ) -> None:
        self.tickets[id]["version"] += 1
        self.audit.append((id, what, list(granted or ()), list(revoked or ())))


def _each_once(names: tuple[str, ...]) -> list[str]:
    return [name for place, name in enumerate(names) if name not in names[:place]]


def _summary(ticket: Any) -> dict[str, Any]:
    """A ticket as the model has it."""
    return {
        "org": ticket.org_id,
        "name": ticket.name,
        "features": list(ticket.features),
        "retired": ticket.retired,
        "version": ticket.version,
    }


class Machine(RuleBasedStateMachine):
    """Anybody asks anything of either of two nodes, while the views follow as they like."""

    new_store: ClassVar[Callable[[], AbstractContextManager[Opened]]]

    @initialize()
    def open(self) -> None:
        self.closing = ExitStack()
        self.stores = self.closing.enter_context(type(self).new_store())
        logs = [TicketLog(self.stores.log), TicketLog(self.stores.log)]
        self.nodes = [
            self.closing.enter_context(
                closing(Writer(log, catalogue, lambda: START, lambda _: None))
            )
            for log in logs
        ]
        stores = self.stores.stores
        kinds: list[tuple[Projection[Any], Versions[Any]]] = [
            (TICKETS, stores.tickets),
            (AUDIT, stores.audit),
        ]
        self.log = logs[0]
        self.live: list[LiveProjection[Any]] = [
            LiveProjection(kind, versions, logs[0], stores.leases, lambda: START, str, runners=None)
            for kind, versions in kinds
        ]
        self.fence = 0
        self.model = Model()
        self.answers: dict[str, tuple[Request, object]] = {}
        self.hand_over()

    def teardown(self) -> None:
        self.closing.close()

    @rule(request=REQUESTS, key=st.none() | st.sampled_from("abc"), node=st.sampled_from([0, 1]))
    def ask(self, request: Request, key: str | None, node: int) -> None:
        self._ask(request, key, node)

    @rule(key=st.sampled_from("abc"), node=st.sampled_from([0, 1]))
    def ask_again(self, key: str, node: int) -> None:
        if key in self.answers:
            self._ask(self.answers[key][0], key, node)

    @rule(limit=st.integers(1, 3))
    def project_some(self, limit: int) -> None:
        for applier in self.appliers:
            applier.step(limit)

    @rule()
    def hand_over(self) -> None:
        """Other runners take over, remembering nothing."""
        self.fence += 1
        self.appliers = [Applier(live.live_version.projected, self.fence) for live in self.live]

    @rule(partitions=st.integers(1, 3))
    def rebuild(self, partitions: int) -> None:
        for live in self.live:
            found = rebuilt(live, self.log.head, partitions=partitions)
            assert (found.state, found.live) == ("switched", [])
        self.fence += 1_000  # leases of their own for each version
        self.hand_over()

    @rule()
    def roll_back(self) -> None:
        for live in self.live:
            if kept := live.versions.registry().kept:
                catch_up(Applier(live.projected(kept[0]), self.fence + 1_000))
                roll_back(live, "operator")
        self.fence += 1_000
        self.hand_over()

    @invariant()
    def the_views_say_what_the_model_says(self) -> None:
        for applier in self.appliers:
            catch_up(applier)
        self._compare_tickets()
        self._compare_audit()
        for live in self.live:
            found = verify(live.live_version.projected)
            assert (found.mismatches, found.parked) == ([], [])

    def _compare_tickets(self) -> None:
        for id in IDS:
            ticket = self.live[0].live_version.view.get(id)
            assert (ticket and _summary(ticket)) == self.model.tickets.get(id)
        for org in (ACME, None):
            found = self.live[0].live_version.view.find(TicketFilter(org), None, 10)
            assert [ticket.id for ticket in found] == [
                id
                for id, ticket in sorted(self.model.tickets.items())
                if not ticket["retired"] and org in (None, ticket["org"])
            ]

    def _compare_audit(self) -> None:
        entries = self.live[1].live_version.view.search(
            AuditFilter(org_id=None), beyond=None, limit=10_000, newest_first=False
        )
        assert [e.position for e in entries] == list(range(1, len(self.model.audit) + 1))
        assert [
            (e.ticket_id, e.action, list(e.granted), list(e.revoked)) for e in entries
        ] == self.model.audit

    def _ask(self, request: Request, key: str | None, node: int) -> None:
        """Ask the node, and compare what it says with what the model says."""
        said = self._say(node, request, key)
        if key in self.answers:
            first, answer = self.answers[key]
            assert said == (answer if first == request else "key-reused")
            return
        try:
            self.model = self.model.after(request)
            expected: object = self.model.tickets[request.id]
        except Refused as refused:
            expected = str(refused)
        assert said == expected
        if key:
            self.answers[key] = (request, deepcopy(expected))

    def _say(self, node: int, request: Request, key: str | None) -> object:
        commands = request.commands(self.model.version(request.id))
        try:
            outcome = self.nodes[node].execute(
                *commands, key=Key(key, repr(request)) if key else None
            )
        except Refusal as refusal:
            return refusal.code
        except KeyReused:
            return "key-reused"
        return _summary(outcome.ticket)


@pytest.fixture
def machine(
    store: str, store_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> type[Machine]:
    """The machine on the store, which is empty at the start of each example."""
    examples = iter(range(10**9))

    @contextmanager
    def new_sqlite() -> Iterator[Opened]:
        with open_store(f"sqlite:///{tmp_path}/example-{next(examples)}.db") as stores:
            yield stores

    @contextmanager
    def new_mongodb() -> Iterator[Opened]:
        database: Database[Document] = request.getfixturevalue("mongodb_database")
        real = {"type": "collection", "name": {"$not": {"$regex": r"^system\."}}}
        for collection in database.list_collection_names(filter=real):
            database[collection].delete_many({})  # much faster than dropping it
        with open_store(store_url) as stores:
            yield stores

    class OnTheStore(Machine):
        new_store = staticmethod(new_sqlite if store == "sqlite" else new_mongodb)

    return OnTheStore


def run(machine: type[Machine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_is_asked_the_store_and_its_views_agree_with_the_model(
    machine: type[Machine], store: str
) -> None:
    run(machine, examples=40 if store == "sqlite" else 12, steps=25)


@pytest.mark.exhaustive
def test_whatever_is_asked_at_length_the_store_and_its_views_agree_with_the_model(
    machine: type[Machine], store: str
) -> None:
    run(machine, examples=500 if store == "sqlite" else 100, steps=60)
