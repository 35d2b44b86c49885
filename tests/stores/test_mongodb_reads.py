"""The cost of reads on MongoDB: the keys and documents that they examine do not grow with the
log."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pymongo.database import Database

from domain.ticket.events import Recorded
from infrastructure.log.codec import encode
from infrastructure.log.ticket_log import TicketLog
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.log import MongoDBLog
from projections.audit.projection import AUDIT
from projections.running.projection import ViewChange
from projections.tickets.search import TicketFilter
from tests.support.stories import ACME, GLOBEX, START, created, id_
from tests.support.view_rows import mongodb_audit

COMMIT = 1_000
"""Events of a commit, as many as a migration commits."""

AT_ONCE = 600
"""Events of usual size in one document: to read one reads all of them."""

TICKETS = 10
"""Tickets of the organisation that does not grow."""


@pytest.mark.parametrize("commits", [1, 4])
def test_the_past_of_an_organisation_examines_no_more_as_the_log_grows(
    mongodb_database: Database[Document], commits: int
) -> None:
    log = MongoDBLog(mongodb_database)
    audit = mongodb_audit(mongodb_database)
    apart = commits * COMMIT // TICKETS
    for after in range(0, commits * COMMIT, COMMIT):
        events = [_created(position, apart) for position in range(after + 1, after + COMMIT + 1)]
        log.commit(after, [encode(recorded) for recorded in events])
        rows = [(e.ticket_id, AUDIT.project(None, e)) for e in events]
        audit.apply(ViewChange(after, after + COMMIT, rows), 1)

    mongodb_database["system.profile"].drop()
    mongodb_database.command("profile", 2)
    page = audit.tickets_at(commits * COMMIT, TicketFilter(GLOBEX), beyond=None, limit=50)
    history = TicketLog(log).fragments([ticket.entry.ticket_id for ticket in page.tickets])
    mongodb_database.command("profile", 0)

    assert len(page.tickets) == len(history) == TICKETS
    reads = list(mongodb_database["system.profile"].find({"keysExamined": {"$exists": True}}))
    assert sum(read["keysExamined"] for read in reads) <= 6 * TICKETS
    assert sum(read["docsExamined"] for read in reads) <= 2 * TICKETS
    assert _longest(mongodb_database) <= AT_ONCE


def _created(position: int, apart: int) -> Recorded:
    org = ACME if position % apart else GLOBEX
    return Recorded(position, id_(position), 1, START, replace(created(), org_id=org))


def _longest(database: Database[Document]) -> int:
    """The most events that are read with one."""
    commits: Sequence[Document] = list(database["commits"].find({}, {"events.position": 1}))
    return max(len(commit["events"]) for commit in commits)


@pytest.mark.parametrize("limit", [5, 60])
def test_a_reader_is_sent_no_commit_of_which_it_uses_nothing(
    mongodb_database: Database[Document], limit: int
) -> None:
    log = MongoDBLog(mongodb_database)
    for after in range(0, 1_000, 20):
        events = [_created(position, 1_000) for position in range(after + 1, after + 21)]
        log.commit(after, [encode(recorded) for recorded in events])
    mongodb_database["system.profile"].drop()
    mongodb_database.command("profile", 2)
    read = log.read(33, limit)
    mongodb_database.command("profile", 0)
    assert [event.id for event in read] == list(range(34, 34 + limit))
    reads = list(mongodb_database["system.profile"].find({"docsExamined": {"$exists": True}}))
    assert sum(one["docsExamined"] for one in reads) <= limit // 20 + 4


def test_a_reader_goes_on_beyond_a_gap_that_is_longer_than_it_reads(
    mongodb_database: Database[Document],
) -> None:
    log = MongoDBLog(mongodb_database)
    for after in range(0, 100, 10):
        events = [_created(position, 1_000) for position in range(after + 1, after + 11)]
        log.commit(after, [encode(recorded) for recorded in events])
    mongodb_database["commits"].delete_many({"_id": {"$gt": 10, "$lt": 80}})
    assert [event.id for event in log.read(10, 5)] == [81, 82, 83, 84, 85]
    assert log.read(10, 5, upto=60) == []
    assert log.read(100, 5) == []
