"""Whatever somebody with access to the store does to the log shows, and where it begins."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from random import Random
from threading import Event, Thread
from typing import Any, Final

import pytest
from bson import BSON, Decimal128, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from api.composition import open_service
from api.export.heads import signed_head
from api.use_cases.service import Service
from domain.deciding import Submission
from domain.errors import ChainBroken, StoreCorrupt
from domain.log.chain import EMPTY, Head, next_hash
from infrastructure.keys.signing_key import signing_key_of
from infrastructure.log.chain_check import check_chain
from infrastructure.mongodb.client import Document
from tests.support.small_log import TICKETS, silent, small_log
from tests.support.stories import create, id_, rename


@pytest.fixture
def service(store_url: str) -> Iterator[Service]:
    with small_log(store_url) as opened:
        yield opened


def broken_at(service: Service, *signed: Head) -> int:
    with pytest.raises(ChainBroken) as broken:
        check_chain(service.log, signed, silent)
    return broken.value.position


def assert_answers(service: Service) -> None:
    """Commands are decided, or refused with what to do, by the service that ran all the while and
    by one that is started now."""
    with open_service(service.settings) as restarted:
        for number, one in enumerate((service, restarted)):
            asked = one.writer.submit(Submission((create(id_(500 + number)),)))
            try:
                asked.result(10)
            except StoreCorrupt as refused:
                assert "audit verify" in str(refused)


SQL: Final = {
    "a byte": (
        "UPDATE events SET state = CAST(replace(state, 'ada', 'eve') AS BLOB) WHERE position = 17",
        17,
    ),
    "the kind": ("UPDATE events SET topic = 'ticket.retired' WHERE position = 17", 17),
    "the ticket": ("UPDATE events SET originator_id = '00' WHERE position = 17", 17),
    "the version": ("UPDATE events SET originator_version = 9 WHERE position = 17", 17),
    "the hash": ("UPDATE events SET hash = zeroblob(32) WHERE position = 17", 17),
    "the length of the hash": ("UPDATE events SET hash = x'ab' WHERE position = 17", 17),
    "the type of the bytes": (
        "UPDATE events SET state = CAST(state AS TEXT) WHERE position = 17",
        17,
    ),
    "the type of the ticket": (
        "UPDATE events SET originator_id = CAST(originator_id AS BLOB) WHERE position = 17",
        17,
    ),
    "removed": ("DELETE FROM events WHERE position = 17", 17),
    "the end removed": ("DELETE FROM events WHERE position > 30", 31),
    "one before all": (
        "INSERT INTO events SELECT -1, '00', 1, topic, state, hash FROM events WHERE position = 1",
        1,
    ),
    "one at the smallest of all positions": (
        "INSERT INTO events SELECT -9223372036854775808, '00', 1, topic, state, hash FROM events "
        "WHERE position = 1",
        1,
    ),
    "one beyond the end": (
        "INSERT INTO events SELECT 41, '00', 1, topic, state, hash FROM events WHERE position = 1;"
        "UPDATE sqlite_sequence SET seq = 40 WHERE name = 'events'",
        41,
    ),
    "one far beyond the end": (
        "INSERT INTO events SELECT 99, '00', 1, topic, state, hash FROM events WHERE position = 1",
        41,
    ),
    "the end hidden": ("UPDATE sqlite_sequence SET seq = 30 WHERE name = 'events'", 31),
    "the end hidden in a text": ("UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'events'", 1),
    "the end put off": ("UPDATE sqlite_sequence SET seq = 50 WHERE name = 'events'", 41),
    "no end": ("DELETE FROM sqlite_sequence WHERE name = 'events'", 1),
    "a text that is none": (
        "UPDATE events SET topic = CAST(x'ff' AS TEXT) WHERE position = 17",
        17,
    ),
    "swapped": (
        "UPDATE events SET position = -position WHERE position IN (17, 19);"
        "UPDATE events SET position = 36 + position WHERE position < 0",
        17,
    ),
}


COUNT_ALONE: Final = {"the end hidden", "the end hidden in a text", "no end"}
"""These change no event."""


@pytest.mark.parametrize("attack", SQL)
@pytest.mark.parametrize("store", ["sqlite"])
def test_a_change_to_the_log_on_sqlite_is_found(
    service: Service, store_url: str, attack: str
) -> None:
    script, position = SQL[attack]
    assert check_chain(service.log, [], silent) == service.log.ending()
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.executescript(script)
        connection.commit()
    assert broken_at(service) == position
    assert_answers(service)
    if attack in COUNT_ALONE:  # SQLite sets it right with the next event
        assert check_chain(service.log, [], silent) == service.log.ending()
    else:
        assert broken_at(service) == position


def change(**values: Any) -> Callable[[Database[Document]], object]:
    """Change fields of the event at position 17, which is the first of its commit."""
    fields = {f"events.0.{name}": value for name, value in values.items()}
    return lambda database: database["commits"].update_one({"_id": 17}, {"$set": fields})


def swap(database: Database[Document]) -> None:
    one, other = (database["commits"].find_one({"_id": position}) for position in (17, 19))
    assert one and other
    database["commits"].delete_many({"_id": {"$in": [17, 19]}})
    for commit, position in ((one, 19), (other, 17)):
        moved = [event | {"position": position + n} for n, event in enumerate(commit["events"])]
        changed = {"_id": position, "last": position + 1, "events": moved}
        database["commits"].insert_one(commit | changed)


def forge(first: object, position: object = 41, **fields: Any) -> Callable[..., object]:
    """A commit beyond the end, its hash computed as it should be."""

    def act(database: Database[Document]) -> object:
        (last,) = database["commits"].find().sort("_id", -1).limit(1)
        before = last["events"][-1]["hash"]
        event = {"position": position, "id": id_(9), "version": 3, "topic": "ticket.retired"}
        hashed = next_hash(before, 41, id_(9), 3, "ticket.retired", b"{}")
        events = [event | {"state": b"{}", "hash": hashed}]
        commit = {"_id": first, "last": 41, "by": ObjectId(), "events": events} | fields
        return database["commits"].insert_one(commit)

    return act


def damage(update: Document) -> Callable[[Database[Document]], object]:
    """Change the commit that begins at position 17."""
    return lambda database: database["commits"].update_one({"_id": 17}, update)


def garble(database: Database[Document]) -> object:
    """A text that is no UTF-8, which drivers refuse to write: its bytes stand where others did."""
    commit = database["commits"].find_one({"_id": 17})
    assert commit
    commit["events"][0]["topic"] = "~~"
    raw = RawBSONDocument(BSON.encode(commit).replace(b"~~\0", b"\xff\xfe\0"))
    return database["commits"].replace_one({"_id": 17}, raw)


MONGO: Final[dict[str, tuple[Callable[[Database[Document]], object], int]]] = {
    "a byte": (change(state=b"{}"), 17),
    "the kind": (change(topic="ticket.retired"), 17),
    "the ticket": (change(id=id_(99)), 17),
    "the type of the ticket": (change(id=ObjectId(id_(9))), 17),
    "the version": (change(version=9), 17),
    "the type of the version": (change(version="1"), 17),
    "the position": (change(position=18), 17),
    "the hash": (change(hash=bytes(32)), 17),
    "a field removed": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$unset": {"events.1.state": 1}}),
        18,
    ),
    "an event removed": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$pop": {"events": 1}}),
        18,
    ),
    "an event doubled": (
        lambda d: d["commits"].update_one(
            {"_id": 17},
            {"$push": {"events": {"position": 18, "id": id_(9), "version": 3, "topic": "t"}}},
        ),
        19,
    ),
    "a commit removed": (lambda d: d["commits"].delete_one({"_id": 17}), 17),
    "a commit emptied": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$set": {"events": []}}),
        17,
    ),
    "a commit that says it ends elsewhere": (
        lambda d: d["commits"].update_one({"_id": 17}, {"$set": {"last": 19}}),
        19,
    ),
    "events where no position is": (
        lambda d: d["commits"].insert_one({"_id": "x", "events": [{"id": id_(9), "version": 9}]}),
        0,
    ),
    "commits swapped": (swap, 17),
    "a position that is no integer": (change(position=17.0), 17),
    "a position in another commit": (
        lambda d: d["commits"].update_one({"_id": 1}, {"$set": {"events.0.position": True}}),
        1,
    ),
    "a version that is no integer": (change(version=True), 17),
    "a text that is none": (garble, 17),
    "no end of a commit": (damage({"$unset": {"last": 1}}), 19),
    "an end in a text": (damage({"$set": {"last": "18"}}), 19),
    "an end that is no integer": (damage({"$set": {"last": 18.0}}), 19),
    "a commit without events": (damage({"$unset": {"events": 1}}), 17),
    "a commit of something else": (damage({"$set": {"events": {"a": 1}}}), 17),
    "events of something else": (damage({"$set": {"events": ["a"]}}), 17),
    "the last commit without events": (
        lambda d: d["commits"].update_one({"_id": 39}, {"$set": {"events": 7}}),
        39,
    ),
    "a commit beyond the end that it names": (forge(41, last=40), 42),
    "a commit that ends within": (forge(41, last=41.9), 42),
    "a commit without an end": (forge(41, last=None), 42),
    "a commit of another position": (forge(41, 3), 41),
    "a commit far beyond": (forge(99, 99, last=99), 41),
    "a commit at the end of all": (forge(float("inf")), 41),
    "a commit at no integer": (forge(41.0), 41),
    "a commit at a decimal": (forge(Decimal128("41")), 41),
    "a commit between two": (forge(40.5), 41),
}


@pytest.mark.parametrize("attack", MONGO)
@pytest.mark.parametrize("store", ["mongodb"])
def test_a_change_to_the_log_on_mongodb_is_found(
    service: Service, mongodb_database: Database[Document], attack: str
) -> None:
    act, position = MONGO[attack]
    assert check_chain(service.log, [], silent) == service.log.ending()
    act(mongodb_database)
    assert broken_at(service) == position
    assert_answers(service)
    assert broken_at(service) == (43 if attack == "a commit at the end of all" else position)


@pytest.mark.parametrize("store", ["sqlite"])
def test_who_computes_all_hashes_again_is_found_by_a_head_that_was_kept(
    service: Service, store_url: str
) -> None:
    kept = service.log.ending()
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET topic = 'ticket.retired' WHERE position = 17")
        last = EMPTY.hash
        columns = "position, originator_id, originator_version, topic, state"
        for row in connection.execute(f"SELECT {columns} FROM events ORDER BY 1").fetchall():
            last = next_hash(last, *row)
            connection.execute("UPDATE events SET hash = ? WHERE position = ?", (last, row[0]))
        connection.commit()

    assert check_chain(service.log, [], silent).position == kept.position
    assert broken_at(service, kept) == kept.position


def test_a_head_beyond_the_end_shows_that_the_end_is_gone(service: Service) -> None:
    ending = service.log.ending()
    assert check_chain(service.log, [ending, EMPTY], silent) == ending
    assert broken_at(service, Head(ending.position + 3, ending.hash)) == ending.position + 1
    assert broken_at(service, Head(ending.position, bytes(32))) == ending.position
    assert broken_at(service, Head(0, ending.hash)) == 0


def cut(service: Service, store_url: str, database: Database[Document]) -> None:
    """Remove all after position 30, with every trace of it."""
    if store_url.startswith("mongodb"):
        database["commits"].delete_many({"_id": {"$gt": 30}})
        return
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("DELETE FROM events WHERE position > 30")
        connection.execute("UPDATE sqlite_sequence SET seq = 30 WHERE name = 'events'")
        connection.commit()


def test_an_end_cut_without_a_trace_is_found_by_a_head_and_by_the_service_that_wrote_it(
    service: Service, store_url: str, mongodb_database: Database[Document]
) -> None:
    kept = service.log.ending()
    cut(service, store_url, mongodb_database)
    assert broken_at(service, kept) == 31
    for ticket_id in (id_(3), id_(50)):
        asked = service.writer.submit(Submission((create(ticket_id),)))
        with pytest.raises(StoreCorrupt, match=r"ends at 30 .* up to 40: .* audit verify"):
            asked.result(10)
    assert service.log.head() == 30


@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.parametrize("attack", ["the end removed", "the hash", "the length of the hash"])
def test_an_end_that_is_gone_or_damaged_is_not_signed(
    service: Service, store_url: str, attack: str
) -> None:
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        connection.executescript(SQL[attack][0].replace("position = 17", "position = 40"))
        connection.commit()
    with pytest.raises(ChainBroken, match=r"Position 40: .* audit verify"):
        signed_head(service.log.ending(), service.clock(), signing_key_of(service.settings))


def test_a_log_that_grows_all_the_while_is_whole_each_time(service: Service) -> None:
    stop = Event()

    def write(first: int) -> None:
        for number in count(first):
            if stop.is_set():
                return
            service.writer.execute(create(id_(number)), rename("Chief", id_(number)))

    writers = [Thread(target=write, args=(1_000_000 * n,)) for n in range(1, 5)]
    for writer in writers:
        writer.start()
    try:
        reached = [0]
        while len(set(reached)) < 10:  # so often it has grown between two checks
            assert all(writer.is_alive() for writer in writers)
            before = service.log.ending()
            reached.append(check_chain(service.log, [before], silent).position)
            assert reached[-1] >= max(before.position, reached[-2])
    finally:
        stop.set()
        for writer in writers:
            writer.join()


COLUMNS: Final = ("position", "originator_id", "originator_version", "topic", "state", "hash")


def other(value: Any, random: Random) -> Any:
    """Something else, often only just."""
    if isinstance(value, int):
        return random.choice([value + 1, value - 1, -value, value + 2**32, value + 0.5, "x"])
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    how = random.choice(["bit", "cut", "add", "type"])
    if how == "type":
        return bytes(raw) if isinstance(value, str) else raw.decode("latin-1")
    if how == "bit":
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(7)
    elif how == "cut":
        raw.pop(random.randrange(len(raw)))
    else:
        raw.insert(random.randrange(len(raw) + 1), random.randrange(128))
    return raw.decode("latin-1") if isinstance(value, str) else bytes(raw)


@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.parametrize("changes", [200, pytest.param(1_000, marks=pytest.mark.exhaustive)])
def test_random_changes_to_rows_on_sqlite_are_found(
    service: Service, store_url: str, changes: int
) -> None:
    random = Random(1)
    update = f"UPDATE events SET ({', '.join(COLUMNS)}) = (?, ?, ?, ?, ?, ?) WHERE position = ?"
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY 1").fetchall()
        for _ in range(changes):
            row, place = random.choice(rows), random.randrange(len(COLUMNS))
            changed = [*row[:place], other(row[place], random), *row[place + 1 :]]
            try:
                connection.execute(update, [*changed, row[0]])
                connection.commit()
            except sqlite3.IntegrityError:  # SQLite itself does not take it
                continue
            found = broken_at(service)
            assert found == (row[0] if changed[0] > 0 else 1)
            connection.execute(update, [*row, changed[0]])
            connection.commit()
    assert check_chain(service.log, [], silent).position == 2 * TICKETS


FIELDS: Final = ("position", "id", "version", "topic", "state", "hash", "last")


def odd(value: Any, random: Random) -> Any:
    """Something else; what MongoDB takes for the same number, too."""
    same = [float(value), Decimal128(str(value)), [value]] if isinstance(value, int) else [[value]]
    return random.choice([other(value, random), *same, None, True, {"a": value}])


@pytest.mark.parametrize("store", ["mongodb"])
@pytest.mark.parametrize("changes", [200, pytest.param(1_000, marks=pytest.mark.exhaustive)])
def test_random_changes_to_commits_on_mongodb_are_found(
    service: Service, mongodb_database: Database[Document], changes: int
) -> None:
    random, commits = Random(2), mongodb_database["commits"]
    whole = list(commits.find().sort("_id", 1))
    for _ in range(changes):
        commit, field = random.choice(whole), random.choice(FIELDS)
        if field == "last":
            changed, position = commit | {"last": odd(commit["last"], random)}, commit["_id"] + 2
        else:
            number = random.randrange(2)
            events = [dict(event) for event in commit["events"]]
            events[number][field] = odd(events[number][field], random)
            changed, position = commit | {"events": events}, commit["_id"] + number
        commits.replace_one({"_id": commit["_id"]}, changed)
        assert broken_at(service) == position, (commit, changed)
        commits.replace_one({"_id": commit["_id"]}, commit)
    assert check_chain(service.log, [], silent).position == 2 * TICKETS
