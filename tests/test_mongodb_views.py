"""What the views on MongoDB promise besides: the shape others read, and no harm from failures."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import pytest
from bson import Int64, ObjectId
from pymongo.database import Database

from domain.errors import Fenced, StoreCorrupt, StoreTooNew, StoreUnavailable
from infrastructure.mongodb.audit import MongoDBAudit
from infrastructure.mongodb.client import Document, connect, database
from infrastructure.mongodb.schema import check_schema
from infrastructure.mongodb.tickets import MongoDBTickets
from infrastructure.mongodb.watch import MongoDBWatcher
from projections.tickets import TicketFilter
from tests.cut_connection import CutConnection
from tests.mongod import ReplicaSet
from tests.view_rows import ACME, START, entries, entry, id_, step, ticket


@pytest.fixture
def tickets(mongodb_database: Database[Document]) -> MongoDBTickets:
    return MongoDBTickets(mongodb_database)


def test_a_ticket_in_use_is_stored_exactly_as_mongoose_leaves_it(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 1, ticket(1, revision=3)), 0)

    found = mongodb_database["tickets"].find_one()

    assert found is not None
    assert list(found.items()) == [
        ("_id", ObjectId(id_(1))),
        ("name", "Foreman"),
        ("orgId", ObjectId(ACME)),
        ("system", "workforce_2"),
        ("features", ["get_all", "create_worker"]),
        ("createdAt", START),
        ("updatedAt", ticket(1).updated_at),
        ("__v", 3),
    ]
    assert not isinstance(found["__v"], Int64)


def test_a_retired_ticket_is_not_in_the_collection_that_others_read(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 2, ticket(1), ticket(2)), 0)
    retired = ticket(1, retired=True, version=2, position=3)
    tickets.apply(step(2, 3, retired), 0)

    assert [found["_id"] for found in mongodb_database["tickets"].find()] == [ObjectId(id_(2))]
    assert tickets.get(id_(1)) == retired


def test_documents_that_no_event_made_are_no_tickets_but_show_as_rows(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 3, ticket(1), ticket(2, retired=True), ticket(4)), 0)
    like = mongodb_database["tickets"].find_one({"_id": ObjectId(id_(1))})
    assert like is not None
    for number in (2, 3):
        mongodb_database["tickets"].insert_one(like | {"_id": ObjectId(id_(number))})

    assert tickets.find(TicketFilter(ACME), None, 2) == [ticket(1), ticket(4)]
    assert tickets.get(id_(3)) is None
    versions = [(ticket_id, row.version) for ticket_id, row in tickets.rows()]
    assert sorted(versions) == [(id_(1), 1), (id_(2), 0), (id_(2), 1), (id_(3), 0), (id_(4), 1)]


def test_a_ticket_that_somebody_deleted_is_reported_not_forgotten(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 1, ticket(1)), 0)
    mongodb_database["tickets"].delete_one({"_id": ObjectId(id_(1))})

    with pytest.raises(StoreCorrupt, match=rf"{id_(1)}.*Rebuild"):
        tickets.get(id_(1))
    assert list(tickets.rows()) == []


def test_content_and_version_are_of_one_moment(
    mongodb_uri: str, mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 1, ticket(1, name="1")), 0)
    done = Event()

    def write() -> None:
        for n in range(2, 200):
            row = ticket(1, name=str(n), version=n, position=n, retired=n % 3 == 0)
            tickets.apply(step(n - 1, n, row), 0)
        done.set()

    writer = Thread(target=write)
    writer.start()
    seen = set[int]()
    while not done.is_set():
        found = [tickets.get(id_(1)), *tickets.find(TicketFilter(ACME), None, 1)]
        for row in found:
            assert row is not None
            assert (row.name, row.retired) == (str(row.version), row.version % 3 == 0)
            seen.add(row.version)
    writer.join()
    assert len(seen) > 5


@pytest.fixture
def half_cleared(mongodb_database: Database[Document]) -> MongoDBAudit:
    """A view whose writer was interrupted while it cleared."""
    audit = MongoDBAudit(mongodb_database)
    audit.apply(entries(0, [entry(n) for n in range(1, 4_101)]), 1)

    def interrupt() -> None:
        raise StoreUnavailable("the store went away")

    with pytest.raises(StoreUnavailable):
        audit.clear(1, interrupt)
    assert 0 < len(list(audit.rows())) < 4_100
    return audit


def test_an_interrupted_clear_stands_at_the_beginning(half_cleared: MongoDBAudit) -> None:
    assert half_cleared.checkpoint() == 0


def test_what_a_clear_left_is_gone_before_anything_is_applied(half_cleared: MongoDBAudit) -> None:
    half_cleared.apply(entries(0, [entry(1)]), 1)

    assert [row for _, row in half_cleared.rows()] == [entry(1)]


def test_taking_over_finishes_an_interrupted_clear(half_cleared: MongoDBAudit) -> None:
    assert half_cleared.take_over(2) == 0
    assert list(half_cleared.rows()) == []


def test_a_fenced_writer_that_is_clearing_deletes_nothing_more(
    mongodb_database: Database[Document],
) -> None:
    old, new = MongoDBAudit(mongodb_database), MongoDBAudit(mongodb_database)
    old.apply(entries(0, [entry(n) for n in range(1, 4_101)]), 1)

    def overtake() -> None:
        if new.take_over(2) == 0 and not list(new.rows()):
            new.apply(entries(0, [entry(1)]), 2)

    with pytest.raises(Fenced):
        old.clear(1, overtake)

    assert [row for _, row in new.rows()] == [entry(1)]


def test_a_step_whose_acknowledgement_got_lost_is_applied_once(
    mongodb_uri: str, mongodb_database: Database[Document]
) -> None:
    MongoDBTickets(mongodb_database)
    target = urlsplit(mongodb_uri)
    assert target.hostname and target.port
    cut = CutConnection((target.hostname, target.port), b"commitTransaction", times=1)
    uri = f"mongodb://127.0.0.1:{cut.port}/?directConnection=true"
    with closing(cut), connect(uri) as client:
        tickets = MongoDBTickets(database(client, mongodb_database.name))
        tickets.apply(step(0, 1, ticket(1)), 1)
        tickets.apply(step(1, 2, ticket(2)), 1)

        assert cut.lost == 1
        assert tickets.checkpoint() == 2
        assert dict(tickets.rows()) == {id_(1): ticket(1), id_(2): ticket(2)}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with closing(ReplicaSet(tmp_path_factory.mktemp("three"))) as replica_set:
        yield replica_set


def test_a_view_and_a_watcher_go_on_through_a_change_of_primary(three: ReplicaSet) -> None:
    stop = Event()
    with connect(three.uri) as client:
        opened = database(client, "failover")
        audit = MongoDBAudit(opened)
        heard = MongoDBWatcher(opened).changes(stop)
        next(heard)
        stepped = Thread(target=three.step_down)
        position = 0
        while position < 40 or stepped.is_alive():
            if position == 5:
                stepped.start()
            audit.apply(entries(position, [entry(position + 1)]), 1)
            position += 1
            next(heard)
        stepped.join()
        stop.set()
        assert list(heard) == []
        assert audit.checkpoint() == position
        assert sorted(row.position for _, row in audit.rows()) == list(range(1, position + 1))


def test_a_store_of_a_newer_schema_is_refused_with_what_to_do(
    mongodb_database: Database[Document],
) -> None:
    check_schema(mongodb_database)
    check_schema(mongodb_database)
    assert mongodb_database["ticketbook"].find_one() == {"_id": "schema", "version": 1}

    mongodb_database["ticketbook"].update_one({"_id": "schema"}, {"$set": {"version": 2}})
    with pytest.raises(StoreTooNew, match=r"schema 2.*Upgrade ticketbook"):
        check_schema(mongodb_database)


def test_what_somebody_else_put_in_the_place_of_a_new_row_gives_way_to_the_log(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    audit = MongoDBAudit(mongodb_database)
    mongodb_database["tickets"].insert_one({"_id": ObjectId(id_(1)), "name": "mine"})
    mongodb_database["audit"].insert_one({"_id": 1, "actor": "nobody"})

    first, second = entry(1), entry(2, ticket_id=id_(2))
    tickets.apply(step(0, 2, ticket(1), ticket(2)), 0)
    audit.apply(entries(0, [first, second]), 0)

    assert tickets.get(id_(1)) == ticket(1)
    assert dict(audit.latest([id_(1), id_(2)])) == {id_(1): first, id_(2): second}
    assert tickets.checkpoint() == audit.checkpoint() == 2


_KILLED_INSIDE_A_TRANSACTION: Final = """
import sys, time
from infrastructure.mongodb.client import connect, database
from infrastructure.mongodb.tickets import MongoDBTickets
from tests.view_rows import step, ticket

class Dawdling(MongoDBTickets):
    def _write(self, rows, session, *, over):
        super()._write(rows, session, over=over)
        print("inside", flush=True)
        time.sleep(120)

view = Dawdling(database(connect(sys.argv[1]), sys.argv[2]))
view.take_over(1)
view.apply(step(0, 1, ticket(1)), 1)
"""


def test_a_writer_killed_inside_a_transaction_holds_nobody_up(
    mongodb_uri: str, mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    command = [sys.executable, "-c", _KILLED_INSIDE_A_TRANSACTION]
    with subprocess.Popen(
        [*command, mongodb_uri, mongodb_database.name], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout and killed.stdout.readline() == "inside\n"
        killed.kill()

    started = monotonic()
    assert tickets.take_over(2) == 0
    tickets.apply(step(0, 1, ticket(1)), 2)

    assert monotonic() - started < 10  # MongoDB itself would give up after 60
    assert tickets.get(id_(1)) == ticket(1)
