"""The hash chain over the log, on every store."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Barrier
from typing import Final
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st
from pymongo.database import Database

from api.composition import open_service, open_stores
from domain.errors import ChainBroken
from domain.log.chain import START, next_hash
from domain.ticket.commands import Command
from domain.ticket.events import Recorded
from infrastructure.configuration.settings import load_settings
from infrastructure.log.appender import Appender
from infrastructure.log.chain_check import check_chain
from infrastructure.log.codec import encode
from infrastructure.log.ordered_log import Chained, OrderedLog, StoredAnswer
from infrastructure.mongodb import commits
from infrastructure.mongodb.client import Document
from infrastructure.mongodb.log import MongoDBLog
from projections.audit.search import AuditFilter
from projections.versions.rebuild import RebuildContext, rebuild
from tests.support.stories import FOREMAN, change, create, id_, minute, rename, renamed, retire

HEAD: Final = "cfc7d8b3763812a8a2c11dbeeafa3d83bba32092dc03065de6f3b7e70bcf64ec"
"""Of the story told last in this file, for ever."""

SECRET: Final = "long enough for a test: 0123456789abcdef"


def event(stream: object, version: int, state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(stream, version, "ticket.renamed", state)  # type: ignore[arg-type]


def by_hand(events: Sequence[Chained]) -> list[bytes]:
    """The hashes, computed from the words of the documentation and nothing else."""
    hashes, last = list[bytes](), bytes(32)
    for one in events:
        texts = [str(one.originator_id).encode(), one.topic.encode(), one.state]
        numbers = [one.id, one.originator_version, *(len(text) for text in texts)]
        frame = b"".join(number.to_bytes(8, "big") for number in numbers) + b"".join(texts)
        last = sha256(last + sha256(frame).digest()).digest()
        hashes.append(last)
    return hashes


def hashes(log: OrderedLog) -> list[bytes]:
    return [found.hash for found in log.read(0, 10_000)]


def test_every_store_gives_the_same_hashes_as_anybody_with_the_documentation(
    ordered_log: OrderedLog,
) -> None:
    first = ordered_log.commit(0, [event("a", 1), event("b", 1, "é".encode())])
    second = ordered_log.commit(2, [event("a", 2, bytes(range(256)))], [StoredAnswer("k", b"1")])

    assert hashes(ordered_log) == [*first, *second] == by_hand(ordered_log.read(0, 10))
    assert second[-1].hex() == "2122c5ffed6cf0cafd37105dde4a7e482f76a0f13d84d8eab9cc182c096448f7"
    assert [found.hash for found in ordered_log.streams(["a"])] == [first[0], second[0]]


def test_answers_alone_add_nothing_to_the_chain(ordered_log: OrderedLog) -> None:
    assert ordered_log.commit(0, [], [StoredAnswer("refused", b"no")]) == []
    (only,) = ordered_log.commit(0, [event("a", 1)])

    assert only == next_hash(START, 1, "a", 1, "ticket.renamed", b"{}")


def test_a_log_that_is_opened_again_goes_on_with_its_chain(
    mongodb_database: Database[Document],
) -> None:
    MongoDBLog(mongodb_database).commit(0, [event("a", 1), event("a", 2)])
    again = MongoDBLog(mongodb_database)
    again.commit(2, [event("a", 3)])

    assert hashes(again) == by_hand(again.read(0, 10))


def test_a_commit_over_many_documents_is_one_piece_of_chain(
    mongodb_database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_BYTES", 1_000)
    log = MongoDBLog(mongodb_database)
    for after in (0, 30):
        log.commit(after, [event("a", after + n) for n in range(1, 31)])

    assert mongodb_database["commits"].count_documents({}) > 10
    assert hashes(log) == by_hand(log.read(0, 100))


def test_ids_may_be_uuids(mongodb_database: Database[Document]) -> None:
    stream = UUID("6b0417f9-3d8b-403e-8dcc-a9b000000000")
    log = MongoDBLog(mongodb_database)
    (only,) = log.commit(0, [event(stream, 1)])

    assert only == next_hash(START, 1, str(stream), 1, "ticket.renamed", b"{}")
    assert hashes(log) == by_hand(log.read(0, 10)) == [only]


def test_writers_that_contend_leave_one_unbroken_chain(ordered_log: OrderedLog) -> None:
    start = Barrier(8)

    def append(number: int) -> None:
        with closing(Appender(ordered_log)) as appender:
            start.wait()
            for version in range(1, 6):
                appender.append([event(f"stream-{number}", version)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append, range(8)))
    found = ordered_log.read(0, 100)
    assert len(found) == 40
    assert [one.hash for one in found] == by_hand(found)


@given(st.tuples(*[st.tuples(st.text(), st.text(), st.binary())] * 2))
def test_what_differs_anywhere_differs_in_its_hash(
    pair: tuple[tuple[str, str, bytes], tuple[str, str, bytes]],
) -> None:
    """The lengths in the frame keep a byte from moving from one field into the next."""
    (one, other) = (next_hash(START, 1, id_, 1, topic, state) for id_, topic, state in pair)
    assert (one == other) == (pair[0] == pair[1])


def test_numbers_differ_in_their_hash_too() -> None:
    places = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 0), (1, -1)]
    found = {next_hash(START, position, "a", version, "t", b"") for position, version in places}
    assert len(found) == len(places)
    assert next_hash(bytes([1] * 32), 1, "a", 1, "t", b"") not in found


def test_audit_entries_carry_the_hashes_of_their_events(store_url: str) -> None:
    """Whether they were projected from memory or, by another process, from the store."""
    environment = {"TICKETBOOK_STORE": store_url, "TICKETBOOK_AUTH_SECRET": SECRET}
    settings = load_settings(environment)
    commands: list[Command] = [create(), rename("Chief"), change("get_all"), retire()]
    with open_service(settings) as service:
        for command in commands[:2]:
            position = service.writer.execute(command).position
        assert service.projections["audit"].live_version.progress.wait(position, 60)
    with open_service(settings, run_projections=False) as service:
        for command in commands[2:]:
            service.writer.execute(command)
    with open_service(settings) as service:
        service.writer.execute(create(id_(2)))
        assert service.projections["audit"].live_version.progress.wait(5, 60)
        entries = service.audit.view.search(
            AuditFilter(org_id=None), beyond=None, limit=10, newest_first=False
        )
        stored = service.log.read(0, 10)
    assert [entry.position for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.hash for entry in entries] == [recorded.hash for recorded in stored]
    assert all(len(bytes.fromhex(entry.hash)) == 32 for entry in entries)
    assert {entry.ticket_id for entry in entries} == {FOREMAN, id_(2)}


def test_every_store_and_every_rebuild_give_the_same_head(store_url: str) -> None:
    """Also where a ticket waits: its events are in the log whatever becomes of their entries."""
    environment = {"TICKETBOOK_STORE": store_url, "TICKETBOOK_AUTH_SECRET": SECRET}
    settings = load_settings(environment)
    orphan = Recorded(1, id_(9), 1, minute(0), renamed("Nobody"))
    with open_stores(settings) as stores:
        stores.log.commit(0, [encode(orphan)])
    with open_service(settings, clock=lambda: minute(0)) as service:
        for number in range(1, 6):
            service.writer.execute(create(id_(number)), rename("Chief", id_(number)))
        position = service.writer.execute(retire(id_(3))).position
        audit = service.projections["audit"]
        assert audit.live_version.progress.wait(position, 60)
        before = dict(audit.live_version.view.rows())
        context = RebuildContext(
            projection=audit,
            head=service.log.head,
            holder="test",
            workers=service.workers,
            partitions=1,
        )
        rebuild(context)
        assert audit.live_version.view.name == "audit@2"
        assert dict(audit.live_version.view.rows()) == before
        assert audit.live_version.view.parked().keys() == {id_(9)}
        assert len(before) == position - 1 == 11
        assert service.log.head() == 12
        assert service.log.ending().hash.hex() == HEAD


def test_a_damaged_hash_stops_nobody_and_is_found(
    store: str, ordered_log: OrderedLog, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    ordered_log.commit(0, [event("a", 1), event("a", 2)])
    if store == "sqlite":
        with closing(sqlite3.connect(tmp_path / "ticketbook.db")) as connection:
            connection.execute("UPDATE events SET hash = 'none' WHERE position = 2")
            connection.commit()
        again: OrderedLog = ordered_log
    else:
        database = request.getfixturevalue("mongodb_database")
        database["commits"].update_one({"_id": 1}, {"$unset": {"events.1.hash": 1}})
        again = MongoDBLog(database)
    again.commit(2, [event("b", 1)])

    with pytest.raises(ChainBroken) as broken:
        check_chain(again, [], lambda position, end: None)
    assert broken.value.position == 2
