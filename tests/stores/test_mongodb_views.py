"""What the views on MongoDB promise besides: the shape others read, and no harm from failures."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread
from typing import Final
from urllib.parse import urlsplit

import pytest
from bson import Int64, ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from domain.errors import (
    ConfigurationError,
    StoreCorrupt,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
)
from infrastructure.mongodb.client import Document, connect, database
from infrastructure.mongodb.exact import ForeignKey
from infrastructure.mongodb.failures import answering
from infrastructure.mongodb.schema import SCHEMA, check_schema
from infrastructure.mongodb.tickets import MONGOOSE_SHAPE, MongoDBTickets
from infrastructure.mongodb.versions import MongoDBVersions
from infrastructure.mongodb.watch import MongoDBWatcher
from projections.tickets.search import TicketFilter
from tests.support.cut_connection import CutConnection
from tests.support.mongod import ReplicaSet
from tests.support.view_rows import (
    ACME,
    START,
    entries,
    entry,
    id_,
    mongodb_audit,
    mongodb_tickets,
    step,
    ticket,
)


@pytest.fixture
def tickets(mongodb_database: Database[Document]) -> MongoDBTickets:
    return mongodb_tickets(mongodb_database)


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
    mongodb_database["tickets_1"].insert_one(like | {"_id": ObjectId(id_(3))})
    mongodb_database["tickets_1"].insert_one({"_id": 7})

    seven = ForeignKey.of(7)
    assert str(seven) == "7"
    assert tickets.find(TicketFilter(ACME), None, 2) == [ticket(1), ticket(4)]
    assert list(tickets.rows()) == [
        (seven, None),
        (id_(1), ticket(1)),
        (id_(2), ticket(2, retired=True)),
        (id_(3), None),
        (id_(4), ticket(4)),
    ]
    tickets.mend({seven: None, id_(3): None}, 0)
    assert [key for key, _ in tickets.rows()] == [id_(1), id_(2), id_(4)]


def test_a_ticket_that_somebody_damaged_is_reported(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 1, ticket(1)), 0)
    mongodb_database["tickets_1"].update_one({}, {"$unset": {"name": ""}})

    with pytest.raises(StoreCorrupt, match=rf"{id_(1)}.*verify tickets --repair"):
        tickets.get(id_(1))
    assert list(tickets.rows()) == [(id_(1), None)]


def test_pages_of_rows_are_found_by_the_index(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 3_000, *[ticket(n) for n in range(1, 3_001)]), 0)
    above = {"$expr": {"$gt": ["$_id", {"$literal": ObjectId(id_(2_000))}]}}
    find = {"find": "tickets_1", "filter": above, "sort": {"_id": 1}, "limit": 1_000}
    explained = mongodb_database.command("explain", find, verbosity="executionStats")
    assert explained["executionStats"]["totalKeysExamined"] <= 1_002


def test_others_can_not_write_what_they_read(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    tickets.apply(step(0, 1, ticket(1)), 0)
    with pytest.raises(OperationFailure, match="view"):
        mongodb_database["tickets"].update_one({}, {"$set": {"name": "mine"}})


def test_an_empty_collection_makes_way_and_one_with_documents_does_not(
    mongodb_database: Database[Document],
) -> None:
    versions = MongoDBVersions(mongodb_database, "tickets", MongoDBTickets, MONGOOSE_SHAPE)
    theirs = mongodb_database["tickets"]
    theirs.insert_one({"name": "theirs"})
    with pytest.raises(ConfigurationError, match="ticketbook migrate adopt"):
        versions.publish()
    assert theirs.count_documents({}) == 1

    theirs.delete_many({})
    versions.publish()
    versions.publish()
    assert (
        mongodb_database.command("listCollections", filter={"name": "tickets"})["cursor"][
            "firstBatch"
        ][0]["options"]["viewOn"]
        == "tickets_1"
    )


def test_a_step_whose_acknowledgement_got_lost_is_applied_once(
    mongodb_uri: str, mongodb_database: Database[Document]
) -> None:
    mongodb_tickets(mongodb_database)
    target = urlsplit(mongodb_uri)
    assert target.hostname and target.port
    cut = CutConnection((target.hostname, target.port), b"commitTransaction", times=1)
    uri = f"mongodb://127.0.0.1:{cut.port}/?directConnection=true"
    with closing(cut), connect(uri) as client:
        tickets = mongodb_tickets(database(client, mongodb_database.name))
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
        audit = mongodb_audit(opened)
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
        assert [key for key, _ in audit.rows()] == list(range(1, position + 1))


def test_a_store_of_a_newer_schema_is_refused_with_what_to_do(
    mongodb_database: Database[Document],
) -> None:
    check_schema(mongodb_database)
    check_schema(mongodb_database)
    assert mongodb_database["ticketbook"].find_one() == {"_id": "schema", "version": SCHEMA}

    mongodb_database["ticketbook"].update_one({"_id": "schema"}, {"$set": {"version": SCHEMA + 1}})
    with pytest.raises(StoreTooNew, match=rf"schema {SCHEMA + 1}.*Upgrade ticketbook"):
        check_schema(mongodb_database)

    mongodb_database["ticketbook"].update_one({"_id": "schema"}, {"$set": {"version": SCHEMA - 1}})
    with pytest.raises(StoreTooOld, match=rf"schema {SCHEMA - 1}.*new database"):
        check_schema(mongodb_database)


def test_what_somebody_else_put_in_the_place_of_a_new_row_gives_way_to_the_log(
    mongodb_database: Database[Document], tickets: MongoDBTickets
) -> None:
    audit = mongodb_audit(mongodb_database)
    mongodb_database["tickets_1"].insert_one({"_id": ObjectId(id_(1)), "name": "mine"})
    mongodb_database["audit_1"].insert_one({"_id": 1, "actor": "nobody"})

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
from tests.support.view_rows import step, ticket

class Slow(MongoDBTickets):
    def _write(self, rows, session, *, over):
        super()._write(rows, session, over=over)
        print("inside", flush=True)
        time.sleep(120)

view = Slow(database(connect(sys.argv[1]), sys.argv[2]), 1)
view.take_over(1)
view.apply(step(0, 1, ticket(1)), 1)
"""


@pytest.fixture
def long_transactions(mongodb_client: MongoClient[Document]) -> Iterator[None]:
    """MongoDB itself gives up on none of them: by default it does after a minute."""
    name, admin = "transactionLifetimeLimitSeconds", mongodb_client.admin
    before = admin.command({"getParameter": 1, name: 1})[name]
    admin.command({"setParameter": 1, name: 3_600})
    yield
    admin.command({"setParameter": 1, name: before})


def test_a_writer_killed_inside_a_transaction_holds_nobody_up(
    mongodb_uri: str,
    mongodb_database: Database[Document],
    tickets: MongoDBTickets,
    long_transactions: None,
) -> None:
    command = [sys.executable, "-c", _KILLED_INSIDE_A_TRANSACTION]
    with subprocess.Popen(
        [*command, mongodb_uri, mongodb_database.name], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout and killed.stdout.readline() == "inside\n"
        killed.kill()

    assert tickets.take_over(2) == 0
    tickets.apply(step(0, 1, ticket(1)), 2)

    assert tickets.get(id_(1)) == ticket(1)


def test_a_cursor_that_is_gone_half_way_is_a_store_that_does_not_answer(
    mongodb_database: Database[Document],
) -> None:
    rows = mongodb_database["rows"]
    rows.insert_many([{"_id": number} for number in range(300)])
    cursor = rows.find(batch_size=10)
    next(cursor)
    mongodb_database.command("killCursors", "rows", cursors=[cursor.cursor_id])
    with pytest.raises(StoreUnavailable, match="MongoDB does not answer"), answering():
        list(cursor)
