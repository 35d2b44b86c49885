"""The contract of `infrastructure/log/ordered_log.py`, run against every store."""

import os
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread, Timer
from typing import Any

import pytest
from bson import ObjectId
from eventsourcing.persistence import StoredEvent
from pymongo import MongoClient
from pymongo.database import Database

from domain.errors import HeadMoved, StoreUnavailable, VersionConflict
from infrastructure.log.appender import Appender
from infrastructure.log.ordered_log import KeyTaken, OrderedLog, StoredAnswer, StreamTaken
from infrastructure.mongodb import client as mongodb_client
from infrastructure.mongodb import commits
from infrastructure.mongodb.client import Document, connect, database
from infrastructure.mongodb.log import MongoDBLog
from infrastructure.sqlite import connection as sqlite_connection
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.log import SQLiteLog
from tests.support.cut_connection import CutConnection
from tests.support.mongod import ReplicaSet


def event(stream: str, version: int, topic: str = "happened", state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(stream, version, topic, state)


def history(stream: str, versions: range) -> list[StoredEvent]:
    return [event(stream, version) for version in versions]


def positions(log: OrderedLog, **bounds: Any) -> list[int]:
    return [
        found.id for found in log.read(bounds.pop("after", 0), bounds.pop("limit", 99), **bounds)
    ]


@pytest.fixture
def appender(ordered_log: OrderedLog) -> Iterator[Appender]:
    with closing(Appender(ordered_log)) as opened:
        yield opened


def test_an_empty_log_ends_at_0_and_holds_nothing(ordered_log: OrderedLog) -> None:
    assert ordered_log.head() == 0
    assert ordered_log.read(0, 10) == []
    assert ordered_log.streams(["ticket"]) == []
    assert ordered_log.answers(["key"]) == {}


def test_positions_follow_each_other_from_1_without_gaps(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, history("a", range(1, 3)))
    ordered_log.commit(2, [event("b", 1)])
    ordered_log.commit(3, [event("a", 3), event("b", 2)])

    found = ordered_log.read(0, 10)
    assert [(f.id, f.originator_id, f.originator_version) for f in found] == [
        (1, "a", 1),
        (2, "a", 2),
        (3, "b", 1),
        (4, "a", 3),
        (5, "b", 2),
    ]
    assert ordered_log.head() == 5


def test_what_comes_back_is_byte_for_byte_what_went_in(ordered_log: OrderedLog) -> None:
    state = bytes(range(256)) * 3
    ordered_log.commit(0, [event("ticket", 1, "ticket.created", state)], [StoredAnswer("k", state)])

    (found,) = ordered_log.read(0, 1)
    assert (found.topic, found.state, type(found.state)) == ("ticket.created", state, bytes)
    assert ordered_log.answers(["k"]) == {"k": state}


@pytest.mark.parametrize("after", [1, 2, 4, 40])
def test_a_commit_after_anything_but_the_end_of_the_log_is_refused(
    ordered_log: OrderedLog, after: int
) -> None:
    ordered_log.commit(0, history("a", range(1, 4)))

    with pytest.raises(HeadMoved):
        ordered_log.commit(after, [event("b", 1)])
    assert positions(ordered_log) == [1, 2, 3]


def test_a_refused_commit_leaves_nothing_behind(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [event("a", 1)], [StoredAnswer("first", b"1")])

    with pytest.raises(StreamTaken) as refused:
        ordered_log.commit(
            1, [event("b", 1), event("a", 1), event("b", 2)], [StoredAnswer("second", b"2")]
        )
    assert refused.value.taken == {("a", 1)}
    assert ordered_log.head() == 1
    assert ordered_log.streams(["b"]) == []
    assert ordered_log.answers(["second"]) == {}


def test_a_version_that_stands_twice_in_a_commit_is_refused(ordered_log: OrderedLog) -> None:
    with pytest.raises(StreamTaken) as refused:
        ordered_log.commit(0, [event("a", 1), event("b", 1), event("a", 1)])
    assert refused.value.taken == {("a", 1)}
    assert ordered_log.head() == 0


def test_a_key_is_answered_once(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [event("a", 1)], [StoredAnswer("key", b"first")])

    with pytest.raises(KeyTaken):
        ordered_log.commit(1, [event("a", 2)], [StoredAnswer("key", b"second")])
    with pytest.raises(KeyTaken):
        ordered_log.commit(1, [], [StoredAnswer("key", b"second")])
    with pytest.raises(KeyTaken):
        ordered_log.commit(1, [], [StoredAnswer("new", b"1"), StoredAnswer("new", b"2")])
    assert ordered_log.answers(["key", "new"]) == {"key": b"first"}
    assert ordered_log.head() == 1


def test_an_answer_needs_no_events_and_moves_no_position(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [], [StoredAnswer("refused", b"no")])
    ordered_log.commit(0, [event("a", 1)])
    ordered_log.commit(0, [], [StoredAnswer("late", b"no")])

    assert ordered_log.answers(["refused", "late", "never"]) == {"refused": b"no", "late": b"no"}
    assert ordered_log.head() == 1
    assert positions(ordered_log) == [1]


def test_a_commit_of_nothing_changes_nothing(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [], [])
    assert ordered_log.head() == 0


def test_a_read_may_start_and_end_in_the_middle_of_a_commit(ordered_log: OrderedLog) -> None:
    for first, last in [(1, 1), (2, 7), (8, 9), (10, 15)]:
        ordered_log.commit(first - 1, history("a", range(first, last + 1)))

    everything = list(range(1, 16))
    for after in range(17):
        assert positions(ordered_log, after=after) == everything[after:]
        for upto in range(17):
            assert positions(ordered_log, after=after, upto=upto) == everything[after:upto]
        for limit in range(17):
            found = positions(ordered_log, after=after, limit=limit)
            assert found == everything[after : after + limit]


def test_a_read_counts_its_limit_after_the_topics(ordered_log: OrderedLog) -> None:
    topics = ["odd", "even"] * 5
    ordered_log.commit(0, [event("a", n, topic) for n, topic in enumerate(topics[:7], start=1)])
    ordered_log.commit(7, [event("a", n, topic) for n, topic in enumerate(topics[7:], start=8)])

    assert positions(ordered_log, topics=["even"]) == [2, 4, 6, 8, 10]
    assert positions(ordered_log, topics=["even"], after=3, limit=2) == [4, 6]
    assert positions(ordered_log, topics=["even"], after=3, upto=8, limit=9) == [4, 6, 8]
    assert positions(ordered_log, topics=["odd", "even"], limit=3) == [1, 2, 3]
    assert positions(ordered_log, topics=["other"]) == []


def test_streams_come_in_log_order_and_hold_nothing_else(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [event("a", 1), event("b", 1), event("c", 1)])
    ordered_log.commit(3, [event("b", 2), event("a", 2)])

    found = ordered_log.streams(["b", "a", "nobody"])
    assert [(f.id, f.originator_id, f.originator_version) for f in found] == [
        (1, "a", 1),
        (2, "b", 1),
        (4, "b", 2),
        (5, "a", 2),
    ]


def test_a_name_is_never_taken_for_an_expression(ordered_log: OrderedLog) -> None:
    odd = ["$events", "$$ROOT", "it's", "a.b", '"; --', ""]
    ordered_log.commit(0, [event(name, 1) for name in odd])

    assert [found.originator_id for found in ordered_log.streams(odd)] == odd
    assert [found.originator_id for found in ordered_log.streams(["$$ROOT"])] == ["$$ROOT"]


def test_many_streams_and_keys_are_found_in_one_question(ordered_log: OrderedLog) -> None:
    names = [f"stream-{number}" for number in range(1_200)]
    answers = [StoredAnswer(name, name.encode()) for name in names]
    ordered_log.commit(0, [event(name, 1) for name in names], answers)

    assert [found.originator_id for found in ordered_log.streams(names)] == names
    assert ordered_log.answers(names) == {name: name.encode() for name in names}


def test_an_end_that_another_writer_moved_is_no_end(ordered_log: OrderedLog) -> None:
    ordered_log.commit(0, [event("a", 1)])
    with pytest.raises(HeadMoved):
        ordered_log.commit(0, [event("b", 1)])
    ordered_log.commit(ordered_log.head(), [event("b", 1)])
    assert positions(ordered_log) == [1, 2]


def test_of_many_commits_after_one_position_one_succeeds(ordered_log: OrderedLog) -> None:
    start = Barrier(8)

    def claim(number: int) -> bool:
        start.wait()
        try:
            ordered_log.commit(0, history(f"stream-{number}", range(1, number + 2)))
        except HeadMoved:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(claim, range(8)))
    assert claims.count(True) == 1
    winner = claims.index(True)
    assert {found.originator_id for found in ordered_log.read(0, 99)} == {f"stream-{winner}"}
    assert positions(ordered_log) == list(range(1, winner + 2))


def test_appends_from_many_threads_get_positions_of_their_own(
    ordered_log: OrderedLog, appender: Appender
) -> None:
    def append(number: int) -> list[int]:
        return appender.append(history(f"stream-{number}", range(1, 1 + number % 4)))

    with ThreadPoolExecutor(16) as threads:
        given = list(threads.map(append, range(200)))
    assert sorted(position for some in given for position in some) == list(range(1, 301))
    for number, some in enumerate(given):
        stream = ordered_log.streams([f"stream-{number}"])
        assert [found.id for found in stream] == some == sorted(some)


def test_one_conflicting_append_never_fails_its_neighbours(
    ordered_log: OrderedLog, appender: Appender
) -> None:
    appender.append([event("contested", 1)])
    start = Barrier(32)

    def append(number: int) -> list[int] | VersionConflict:
        events = [event(f"stream-{number}", 1)]
        if number % 2:  # three of four conflict with the log, the fourth with each other
            events.append(event("contested", 2 if number % 4 == 3 else 1))
        start.wait()
        try:
            return appender.append(events)
        except VersionConflict as conflict:
            return conflict

    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(append, range(32)))
    assert all(isinstance(results[number], list) for number in range(0, 32, 2))
    assert all(isinstance(results[number], VersionConflict) for number in range(1, 32, 4))
    assert sum(isinstance(results[number], list) for number in range(3, 32, 4)) == 1
    kept = [number for number, result in enumerate(results) if isinstance(result, list)]
    stored = {found.originator_id for found in ordered_log.read(0, 99)}
    assert stored == {"contested", *(f"stream-{number}" for number in kept)}


def test_an_event_no_store_can_hold_fails_alone(
    ordered_log: OrderedLog, appender: Appender
) -> None:
    start = Barrier(8)

    def append(number: int) -> bool:
        start.wait()
        try:
            appender.append([event(f"stream-{number}", 2**70 if number == 3 else 1)])
        except OverflowError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(append, range(8))) == [number != 3 for number in range(8)]
    assert ordered_log.head() == 7


def test_an_appender_follows_a_log_that_others_append_to(
    ordered_log: OrderedLog, appender: Appender
) -> None:
    assert appender.append([event("a", 1)]) == [1]
    ordered_log.commit(1, [event("b", 1)])
    assert appender.append([event("a", 2)]) == [3]
    with pytest.raises(VersionConflict):
        appender.append([event("b", 1)])
    assert appender.append([]) == []


def test_a_closed_appender_has_stored_what_it_took_and_takes_no_more(
    ordered_log: OrderedLog,
) -> None:
    appender = Appender(ordered_log)
    with ThreadPoolExecutor(4) as threads:
        taken = [threads.submit(appender.append, [event(f"s-{n}", 1)]) for n in range(20)]
        stored = [future.result() for future in taken]
    appender.close()
    appender.close()
    assert len(stored) == ordered_log.head() == 20
    with pytest.raises(StoreUnavailable):
        appender.append([event("late", 1)])


def test_a_commit_of_more_than_16_mb_is_one_commit(ordered_log: OrderedLog) -> None:
    megabyte = bytes(1024 * 1024)
    events = [event("big", version, state=megabyte) for version in range(1, 21)]
    ordered_log.commit(0, [event("small", 1)])
    with pytest.raises(StreamTaken):
        ordered_log.commit(1, [*events, event("small", 1)])
    assert ordered_log.head() == 1

    ordered_log.commit(1, events, [StoredAnswer("big", b"done")])
    ordered_log.commit(21, [event("small", 2)])
    assert positions(ordered_log) == list(range(1, 23))
    assert len(ordered_log.streams(["big"])) == 20
    assert ordered_log.answers(["big"]) == {"big": b"done"}


@pytest.mark.parametrize("events", [0, 3])
def test_answers_of_more_than_16_mb_are_one_commit(ordered_log: OrderedLog, events: int) -> None:
    large = bytes(3 * 1024 * 1024)
    answers = [StoredAnswer(f"key {number}", large) for number in range(8)]
    appended = [event("big", version, state=large) for version in range(1, events + 1)]
    ordered_log.commit(0, appended, answers)
    assert positions(ordered_log) == list(range(1, events + 1))
    assert ordered_log.answers([a.key for a in answers]) == {a.key: large for a in answers}
    with pytest.raises(KeyTaken):
        ordered_log.commit(events, [event("small", 1)], [StoredAnswer("key 7", b"again")])
    assert ordered_log.head() == events


def test_a_commit_spread_over_many_documents_is_read_as_one(
    mongodb_database: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_BYTES", 1_000)
    log = MongoDBLog(mongodb_database)
    log.commit(0, history("a", range(1, 30)), [StoredAnswer("key", b"done")])
    log.commit(29, history("b", range(1, 30)))

    assert mongodb_database["commits"].count_documents({}) > 10
    assert log.head() == 58
    for after in range(0, 60, 7):
        assert positions(log, after=after) == list(range(after + 1, 59))
    with pytest.raises(KeyTaken):
        log.commit(58, history("c", range(1, 30)), [StoredAnswer("key", b"again")])
    with pytest.raises(HeadMoved):
        log.commit(29, history("c", range(1, 30)))
    assert log.head() == 58


def test_one_stream_is_read_between_two_versions(mongodb_database: Database[Document]) -> None:
    log = MongoDBLog(mongodb_database)
    log.commit(0, [event("$a", 0), event("b", 1), event("$a", 1)])
    log.commit(3, [event("$a", 3), event("$a", 2)])

    def versions(**bounds: int) -> Sequence[int]:
        return [found.originator_version for found in log.stream("$a", **bounds)]

    assert versions() == [0, 1, 2, 3]
    assert versions(gt=0) == [1, 2, 3]
    assert versions(lte=0) == [0]
    assert versions(gt=0, lte=2) == [1, 2]
    assert versions(gt=3) == []


def test_a_position_is_never_given_out_twice_on_sqlite(tmp_path: Path) -> None:
    """Whatever an operator deletes; on MongoDB the last commit is the head."""
    with closing(SQLiteDatabase(tmp_path / "log.db")) as opened:
        log = SQLiteLog(opened)
        log.commit(0, history("a", range(1, 4)))
        with opened.writing() as connection:
            connection.execute("DELETE FROM events WHERE position > 1")
        assert log.head() == 3
        log.commit(3, [event("b", 1)])
        assert positions(log) == [1, 4]


@pytest.mark.parametrize("spread", [False, True], ids=["one document", "a transaction"])
def test_a_commit_whose_acknowledgement_is_lost_is_a_success(
    mongodb_client: MongoClient[Document],
    mongodb_database: Database[Document],
    monkeypatch: pytest.MonkeyPatch,
    spread: bool,
) -> None:
    if spread:
        monkeypatch.setattr(commits, "COMMIT_BYTES", 300)
    lost_request = b"commitTransaction" if spread else b"insert\x00\x08\x00\x00\x00commits\x00"
    assert mongodb_client.primary or mongodb_client.admin.command("ping")
    assert mongodb_client.primary
    with closing(CutConnection(mongodb_client.primary, lost_request, times=2)) as cut:
        uri = f"mongodb://127.0.0.1:{cut.port}/?directConnection=true"
        with MongoClient[Document](uri, retryWrites=False) as client:
            log = MongoDBLog(database(client, mongodb_database.name))
            log.commit(0, history("a", range(1, 4)), [StoredAnswer("key", b"done")])
            assert log.head() == 3
            log.commit(3, [event("a", 4)])
        assert cut.lost == 2
    assert positions(MongoDBLog(mongodb_database)) == [1, 2, 3, 4]


def test_an_unreachable_mongodb_is_said_to_be_unavailable_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mongodb_client.CONNECT_SECONDS == 5
    monkeypatch.setattr(mongodb_client, "CONNECT_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with connect(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0") as client:
        assert client.options.server_selection_timeout == 0.2
        with pytest.raises(StoreUnavailable, match="primary"):
            MongoDBLog(database(client, f"test_{ObjectId()}"))


def test_a_mongodb_that_stops_answering_fails_a_commit_within_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would end the wait: it is frozen until the commit has failed."""
    monkeypatch.setattr(mongodb_client, "SOCKET_SECONDS", 3_600.0)
    with closing(ReplicaSet(tmp_path, members=1)) as server, connect(server.uri) as client:
        log = MongoDBLog(database(client, "frozen"), patience=0.5)
        with closing(Appender(log)) as appender:
            assert appender.append([event("a", 1)]) == [1]
            server.freeze()
            with pytest.raises(StoreUnavailable):
                log.commit(1, [event("a", 2)])
            server.thaw()
            appended = appender.append([event("b", 1)])
        assert appended == [log.head()]
        assert positions(log) == list(range(1, log.head() + 1))


def test_a_locked_sqlite_file_is_said_to_be_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_SECONDS", 0.1)
    path = tmp_path / "log.db"
    with closing(SQLiteDatabase(path)) as opened, closing(sqlite3.connect(path)) as other:
        log = SQLiteLog(opened)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            log.commit(0, [event("a", 1)])
        other.rollback()
        log.commit(0, [event("a", 1)])


def test_a_new_sqlite_file_that_another_process_is_opening_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        letting_go = Timer(0.2, other.rollback)
        letting_go.start()
        with closing(SQLiteDatabase(path)) as opened:
            SQLiteLog(opened).commit(0, [event("a", 1)])
        letting_go.join()


def test_readers_that_come_and_go_leave_no_connections_behind(tmp_path: Path) -> None:
    with closing(SQLiteDatabase(tmp_path / "store.db")) as database:
        log = SQLiteLog(database)
        for _ in range(50):
            reader = Thread(target=log.head)
            reader.start()
            reader.join()
        assert len(database._opened) == 2  # one that stays, one that reads


def test_a_new_sqlite_file_and_those_beside_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with closing(SQLiteDatabase(tmp_path / "store.db")) as database:
            SQLiteLog(database).commit(0, [event("a", 1)])
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm"], 0o600)


def test_an_older_sqlite_file_keeps_the_rights_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    path.chmod(0o640)
    with closing(SQLiteDatabase(path)):
        assert path.stat().st_mode & 0o777 == 0o640
