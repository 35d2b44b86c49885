"""The one writer of a process, on each real store."""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier, Event
from typing import Any, Final
from weakref import ref

import pytest

from domain.catalogue import Catalogue
from domain.deciding import Batch, Key, Outcome, Submission, SubmissionList
from domain.errors import (
    EventUnreadable,
    InvalidName,
    KeyReused,
    Overloaded,
    Refusal,
    StoreUnavailable,
    TicketExists,
    TicketIsRetired,
    TicketNotFound,
    UnknownFeature,
    UnknownSystem,
    VersionConflict,
)
from domain.log.ports import Answer, EventLog, LogSlice, Partition
from domain.ticket.commands import Command
from domain.ticket.events import Recorded, TicketRenamed
from domain.ticket.state import fold
from domain.ticket.stream import UNBEGUN
from infrastructure.log import group_commit
from infrastructure.log import writer as writer_module
from infrastructure.log.codec import encode, encode_event
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from tests.support.stories import (
    FOREMAN,
    START,
    catalogue,
    change,
    create,
    id_,
    imported,
    origin,
    quarantine,
    rename,
    restore,
    retire,
    take_over,
)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Gate:
    """A log that holds every commit until the gate opens, so that a batch can gather."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.arrived = Event()
        self.opened = Event()
        self.sizes: list[int] = []
        self.head, self.read = log.head, log.read
        self.histories, self.answers = log.histories, log.answers

    def commit(self, after: int, events: Sequence[Recorded], answers: Sequence[Answer]) -> None:
        self.arrived.set()
        assert self.opened.wait(30)
        self.sizes.append(len(events))
        self._log.commit(after, events, answers)


class Flaky:
    """A log whose store does not answer for a while: before storing, or after having stored."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.silent = False
        self.silent_after_next = False
        self.refused = 0
        self.stores_silently = False
        self.answers = log.answers

    def head(self) -> int:
        self._speak()
        return self._log.head()

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        self._speak()
        return self._log.read(after, limit)

    def read_partition(self, partition: Partition, after: int, limit: int) -> LogSlice:
        self._speak()
        return self._log.read_partition(partition, after, limit)

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        self._speak()
        return self._log.histories(ticket_ids)

    def fragments(
        self, ticket_ids: Collection[str]
    ) -> Mapping[str, Sequence[Recorded | EventUnreadable]]:
        self._speak()
        return self._log.fragments(ticket_ids)

    def commit(self, after: int, events: Sequence[Recorded], answers: Sequence[Answer]) -> None:
        if self.stores_silently:
            self._log.commit(after, events, answers)
            raise StoreUnavailable("the acknowledgement got lost")
        self._speak()
        self._log.commit(after, events, answers)
        self.silent = self.silent_after_next

    def _speak(self) -> None:
        if self.silent:
            self.refused += 1
            raise StoreUnavailable("no answer")


Opens = Callable[..., Writer]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_writer(ordered_log: OrderedLog, clock: Clock) -> Iterator[Opens]:
    """Opens writers on the one log, each as another process would have it."""
    opened: list[Writer] = []

    def open_writer(log: EventLog | None = None, **limits: Any) -> Writer:
        writer = Writer(log or TicketLog(ordered_log), catalogue, clock, lambda _: None, **limits)
        opened.append(writer)
        return writer

    yield open_writer
    for writer in opened:
        writer.close()


@pytest.fixture
def writer(open_writer: Opens) -> Writer:
    return open_writer()


def everything(ordered_log: OrderedLog) -> list[Recorded]:
    """The whole log, read afresh, its places checked."""
    log, found = TicketLog(ordered_log), list[Recorded]()
    while events := log.read(len(found), 1_000):
        found += events
    assert [recorded.position for recorded in found] == list(range(1, len(found) + 1))
    assert all(one.recorded_at <= next_.recorded_at for one, next_ in pairwise(found))
    versions: dict[str, int] = {}
    for recorded in found:
        assert recorded.version == versions.get(recorded.ticket_id, 0) + 1
        versions[recorded.ticket_id] = recorded.version
    return found


def names(ordered_log: OrderedLog) -> list[str]:
    return [r.event.name for r in everything(ordered_log) if isinstance(r.event, TicketRenamed)]


def together(open_writer: Opens, log: EventLog, submissions: Sequence[Submission]) -> list[object]:
    """What becomes of submissions that are decided in one batch."""
    gate = Gate(log)
    writer = open_writer(gate)
    first = writer.submit(Submission((create(id_(999)),)))
    assert gate.arrived.wait(30)
    waiting = [writer.submit(submission) for submission in submissions]
    gate.opened.set()
    first.result()
    return [answer(future) for future in waiting]


def answer(future: Future[Outcome]) -> object:
    return future.exception() or future.result()


def one(*commands: Command, key: Key | None = None) -> Submission:
    return Submission(commands, key)


# One command after another


def test_an_accepted_command_answers_with_the_ticket_and_its_place(writer: Writer) -> None:
    outcome = writer.execute(create())
    assert (outcome.version, outcome.position, outcome.appended) == (1, 1, 1)
    assert outcome.ticket
    assert outcome.ticket.features == ("get_all", "create_worker")
    assert not outcome.replayed


def test_every_command_is_decided_on_what_the_one_before_left(
    writer: Writer, ordered_log: OrderedLog
) -> None:
    writer.execute(create())
    writer.execute(rename("Chief", expected=1))
    writer.execute(change("get_all", expected=2))
    writer.execute(retire(expected=3))
    with pytest.raises(TicketIsRetired):
        writer.execute(rename("Boss"))
    outcome = writer.execute(restore(expected=4))

    assert outcome.ticket == fold(everything(ordered_log))
    assert (outcome.version, outcome.position) == (5, 5)


def test_a_command_that_changes_nothing_answers_with_the_ticket_as_it_is(writer: Writer) -> None:
    before = writer.execute(create())
    outcome = writer.execute(rename("Foreman"))
    assert outcome == replace(before, appended=0)


def test_a_refused_command_leaves_nothing(writer: Writer, ordered_log: OrderedLog) -> None:
    with pytest.raises(UnknownFeature):
        writer.execute(create(features=("fly",)))
    with pytest.raises(TicketNotFound):
        writer.execute(rename("Chief"))
    assert everything(ordered_log) == []


def test_a_quarantined_record_has_a_place_but_no_ticket(writer: Writer) -> None:
    outcome = writer.execute(quarantine())
    assert (outcome.ticket, outcome.version, outcome.position) == (None, 1, 1)
    assert writer.execute(create()).version == 2


def test_a_ticket_that_exists_is_not_created_again_by_a_writer_that_never_saw_it(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writer.execute(create())
    with pytest.raises(TicketExists):
        open_writer().execute(create(name="Usurper"))
    assert len(everything(ordered_log)) == 1


def test_a_refused_creation_does_not_hide_the_ticket_that_exists(
    writer: Writer, open_writer: Opens
) -> None:
    writer.execute(create())
    other = open_writer()
    with pytest.raises(TicketExists):
        other.execute(create(name=""))
    assert other.execute(rename("Chief")).version == 2


def test_nothing_is_taken_once_the_writer_is_closed(writer: Writer) -> None:
    waiting = [writer.submit(one(create(id_(n)))) for n in range(100)]
    writer.close()
    assert sorted(future.result(0).position for future in waiting) == list(range(1, 101))
    with pytest.raises(StoreUnavailable, match="nothing was stored"):
        writer.submit(one(create(id_(100))))


# Several commands in one submission


def test_two_commands_are_accepted_as_one(writer: Writer, ordered_log: OrderedLog) -> None:
    writer.execute(create())
    outcome = writer.execute(rename("Chief", expected=1), change("get_all"))
    assert (outcome.version, outcome.position, outcome.appended) == (3, 3, 2)
    assert outcome.ticket == fold(everything(ordered_log))


def test_two_commands_are_refused_as_one(writer: Writer, ordered_log: OrderedLog) -> None:
    writer.execute(create())
    with pytest.raises(UnknownFeature):
        writer.execute(rename("Chief"), change("fly"))
    assert len(everything(ordered_log)) == 1
    assert writer.execute(rename("Boss", expected=1)).version == 2


def test_commands_on_several_tickets_are_accepted_or_refused_as_one(
    writer: Writer, ordered_log: OrderedLog
) -> None:
    writer.execute(create(id_(1)), create(id_(2)))
    with pytest.raises(TicketExists):
        writer.execute(rename("Chief", id_(1)), create(id_(3)), create(id_(2)))
    assert [recorded.ticket_id for recorded in everything(ordered_log)] == [id_(1), id_(2)]


# One batch


def test_within_a_batch_each_is_decided_on_what_the_one_before_left(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    results = together(
        open_writer,
        TicketLog(ordered_log),
        [
            one(create()),
            one(rename("Chief", expected=1)),
            one(rename("Late", expected=1)),
            one(retire()),
            one(rename("Ghost")),
        ],
    )
    assert [type(result) for result in results] == [
        Outcome,
        Outcome,
        VersionConflict,
        Outcome,
        TicketIsRetired,
    ]
    assert isinstance(results[2], VersionConflict)
    assert results[2].version == 2
    assert names(ordered_log) == ["Chief"]


def test_a_refused_neighbour_does_no_harm(open_writer: Opens, ordered_log: OrderedLog) -> None:
    results = together(
        open_writer,
        TicketLog(ordered_log),
        [
            one(create(id_(1))),
            one(create(id_(2), features=("fly",))),
            one(create(id_(3)), rename("", id_(3))),
            one(create(id_(1))),
            one(create(id_(4))),
        ],
    )
    assert [type(result) for result in results] == [
        Outcome,
        UnknownFeature,
        InvalidName,
        TicketExists,
        Outcome,
    ]
    assert [recorded.ticket_id for recorded in everything(ordered_log)] == [
        id_(999),
        id_(1),
        id_(4),
    ]


def test_an_event_that_no_store_can_hold_fails_alone(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    unusable = replace(create(id_(2)), origin=replace(origin(), reason="lone \ud800"))
    results = together(
        open_writer, TicketLog(ordered_log), [one(create(id_(1))), one(unusable), one(create())]
    )
    assert [isinstance(result, Outcome) for result in results] == [True, False, True]
    assert len(everything(ordered_log)) == 3


def test_a_ticket_that_can_not_be_read_fails_alone(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    broken = replace(encode(Recorded(1, id_(1), 1, START, imported())), state=b"damaged")
    ordered_log.commit(0, [broken])
    ordered_log.commit(1, [encode(Recorded(2, id_(2), 1, START, imported()))])
    results = together(
        open_writer,
        TicketLog(ordered_log),
        [one(rename("Chief", id_(2))), one(rename("Chief", id_(1))), one(create())],
    )
    assert [type(result) for result in results] == [Outcome, EventUnreadable, Outcome]


def test_an_event_that_can_not_be_read_stops_nobody_but_its_ticket(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writer.execute(create(id_(1)), create(id_(2)))
    newer = encode(Recorded(3, id_(1), 2, START, imported()))
    ordered_log.commit(2, [replace(newer, state=b"of a newer version")])

    for node, version in ((open_writer(), 2), (writer, 3)):
        assert node.execute(rename(f"Name {version}", id_(2), expected=version - 1))
        with pytest.raises(EventUnreadable, match="position 3"):
            node.execute(rename("Chief", id_(1)))


# Idempotency keys

KEY = Key("key-1", "fingerprint-1")


def test_a_key_answers_as_it_did_the_first_time(writer: Writer, ordered_log: OrderedLog) -> None:
    first = writer.execute(create(), key=KEY)
    writer.execute(rename("Chief"))
    again = writer.execute(create(), key=KEY)
    assert again == replace(first, appended=0, replayed=True)
    assert len(everything(ordered_log)) == 2


def test_a_key_answers_as_it_did_on_any_node_and_after_a_restart(
    writer: Writer, open_writer: Opens
) -> None:
    first = writer.execute(create(), rename("Chief"), key=KEY)
    writer.close()
    again = open_writer().execute(create(), rename("Chief"), key=KEY)
    assert again == replace(first, appended=0, replayed=True)


def test_a_key_that_comes_back_with_another_command_is_refused(
    writer: Writer, ordered_log: OrderedLog
) -> None:
    writer.execute(create(), key=KEY)
    with pytest.raises(KeyReused):
        writer.execute(rename("Chief"), key=Key("key-1", "fingerprint-2"))
    assert len(everything(ordered_log)) == 1


def under(systems: Catalogue) -> Callable[[], Catalogue]:
    return lambda: systems


def test_a_refusal_for_what_a_catalogue_lacked_is_decided_again_under_another_one(
    ordered_log: OrderedLog, clock: Clock
) -> None:
    """Also one that was stored before it named its catalogue; an acceptance stays for ever."""
    full = catalogue()
    half = Catalogue({name: replace(s, features={}) for name, s in full.systems.items()})
    none = Catalogue({})

    def execute(systems: Catalogue, key: Key) -> Outcome:
        log = TicketLog(ordered_log)
        with closing(Writer(log, under(systems), clock, lambda _: None)) as writer:
            return writer.execute(create(), key=key)

    old = Answer("old", "same", FOREMAN, 0, 0, UnknownFeature("There is no feature."))
    TicketLog(ordered_log).commit(0, [], [old])
    for key in (KEY, Key("old", "same")):
        for systems, why, replayed in (
            (half, UnknownFeature, False),
            (half, UnknownFeature, True),
            (none, UnknownSystem, False),
            (half, UnknownFeature, False),
        ):
            with pytest.raises(why) as refused:
                execute(systems, key)
            assert refused.value.replayed is replayed
    assert everything(ordered_log) == []

    first = execute(full, KEY)
    assert (first.version, first.replayed) == (1, False)
    for systems in (half, none, full):
        assert execute(systems, KEY) == replace(first, appended=0, replayed=True)
    with pytest.raises(KeyReused):
        execute(half, replace(KEY, fingerprint="another"))
    assert len(everything(ordered_log)) == 1


def test_a_refusal_is_told_again_even_when_it_would_be_accepted_by_now(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    refusals = []
    for node in (writer, writer, open_writer()):
        with pytest.raises(TicketNotFound) as refused:
            node.execute(rename("Chief"), key=KEY)
        refusals.append(refused.value.detail)
        if node is writer and len(refusals) == 1:
            writer.execute(create())
    assert len(set(refusals)) == 1
    assert len(everything(ordered_log)) == 1


def test_a_refused_version_is_told_again_as_it_was(writer: Writer, open_writer: Opens) -> None:
    writer.execute(create())
    for node in (writer, open_writer()):
        with pytest.raises(VersionConflict) as refused:
            node.execute(rename("Chief", expected=7), key=KEY)
        assert refused.value.version == 1
        writer.execute(rename("Boss"))


def test_that_nothing_changed_is_told_again(writer: Writer, open_writer: Opens) -> None:
    writer.execute(create())
    first = writer.execute(rename("Foreman"), key=KEY)
    writer.execute(rename("Chief"))
    assert open_writer().execute(rename("Foreman"), key=KEY) == replace(first, replayed=True)


def test_a_quarantined_record_is_kept_once_per_key(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    first = writer.execute(quarantine(), key=KEY)
    assert open_writer().execute(quarantine(), key=KEY) == replace(first, appended=0, replayed=True)
    assert len(everything(ordered_log)) == 1


def test_one_key_twice_in_a_batch_counts_once(open_writer: Opens, ordered_log: OrderedLog) -> None:
    first, again, other, refused, refused_again = together(
        open_writer,
        TicketLog(ordered_log),
        [
            one(create(), key=KEY),
            one(create(), key=KEY),
            one(rename("Chief"), key=Key("key-1", "fingerprint-2")),
            one(rename("", FOREMAN), key=Key("key-2", "f")),
            one(rename("", FOREMAN), key=Key("key-2", "f")),
        ],
    )
    assert isinstance(first, Outcome)
    assert again == replace(first, appended=0, replayed=True)
    assert isinstance(other, KeyReused)
    assert isinstance(refused, InvalidName)
    assert isinstance(refused_again, InvalidName)
    assert len(everything(ordered_log)) == 2


def test_a_thousand_submissions_with_one_key_make_one_event_and_equal_answers(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writers = [open_writer(), open_writer()]
    ready = Barrier(8)

    def submit(caller: int) -> list[Future[Outcome]]:
        ready.wait()
        return [writers[n % 2].submit(one(create(), key=KEY)) for n in range(caller, 1_000, 8)]

    with ThreadPoolExecutor(8) as callers:
        futures = [future for some in callers.map(submit, range(8)) for future in some]
    outcomes = [future.result() for future in futures]

    assert len(outcomes) == 1_000
    assert len(everything(ordered_log)) == 1
    first = [outcome for outcome in outcomes if not outcome.replayed]
    assert len(first) == 1
    assert {replace(outcome, appended=0, replayed=True) for outcome in outcomes} == {
        replace(first[0], appended=0, replayed=True)
    }


# Several writers on one log


def test_racing_writers_keep_every_accepted_change_in_one_order(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writers = [open_writer(), open_writer()]
    tickets = [id_(n) for n in range(3)]
    writers[0].execute(*(create(ticket_id) for ticket_id in tickets))
    ready = Barrier(4)

    def work(caller: int) -> list[tuple[str, Outcome]]:
        ready.wait()
        done: list[tuple[str, Outcome]] = []
        for n in range(25):
            name, ticket_id = f"{caller}-{n}", tickets[n % 3]
            done.append((name, writers[caller % 2].execute(rename(name, ticket_id))))
        return done

    with ThreadPoolExecutor(4) as callers:
        accepted = [pair for some in callers.map(work, range(4)) for pair in some]

    log = everything(ordered_log)
    at = {r.position: r for r in log}
    assert len(log) == 3 + 100
    for name, outcome in accepted:
        recorded = at[outcome.position]
        assert isinstance(recorded.event, TicketRenamed)
        assert (recorded.event.name, recorded.version) == (name, outcome.version)
        assert outcome.ticket == fold(
            r for r in log[: outcome.position] if r.ticket_id == outcome.ticket_id
        )
    for caller in range(4):
        mine = [name for name in names(ordered_log) if name.startswith(f"{caller}-")]
        assert mine == [f"{caller}-{n}" for n in range(25)]


def test_of_racing_writers_that_saw_one_version_exactly_one_changes_it(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writers = [open_writer() for _ in range(3)]
    writers[0].execute(create())
    for version in range(1, 11):
        commands = [rename(f"{version}-{n}", expected=version) for n in range(3)]
        futures = [w.submit(one(c)) for w, c in zip(writers, commands, strict=True)]
        kinds = sorted(type(answer(future)).__name__ for future in futures)
        assert kinds == ["Outcome", "VersionConflict", "VersionConflict"]
    assert len(everything(ordered_log)) == 11


def test_what_is_remembered_holds_after_others_appended(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    other = open_writer()
    for ticket_id in (id_(1), id_(2)):
        writer.execute(create(ticket_id))
    other.execute(rename("Theirs", id_(1)))
    other.execute(retire(id_(2)))
    writer.execute(create(id_(3)))  # here it notices

    assert writer.execute(change("get_all", ticket_id=id_(1), expected=2)).version == 3
    with pytest.raises(TicketIsRetired):
        writer.execute(rename("Ours", id_(2)))
    outcome = writer.execute(restore(id_(2), expected=2))
    assert outcome.ticket == fold(r for r in everything(ordered_log) if r.ticket_id == id_(2))


def test_nothing_is_refused_on_a_version_that_others_have_moved(
    writer: Writer, open_writer: Opens
) -> None:
    writer.execute(create())
    open_writer().execute(rename("Theirs"))
    assert writer.execute(rename("Ours", expected=2)).version == 3


def test_that_nothing_changes_is_said_of_the_ticket_as_others_left_it(
    writer: Writer, open_writer: Opens
) -> None:
    writer.execute(create())
    open_writer().execute(rename("Theirs"))
    assert writer.execute(rename("Foreman")).version == 3
    open_writer().execute(retire())
    assert writer.execute(retire(), key=KEY).appended == 0


def test_more_foreign_events_than_are_read_at_once_are_caught_up_with(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    writer.execute(create())
    other = open_writer()
    waiting = [other.submit(one(create(id_(n)))) for n in range(1_100)]
    waiting.append(other.submit(one(rename("Theirs"))))
    for future in waiting:
        future.result()
    assert writer.execute(rename("Ours", expected=2)).position == 1_103
    assert len(everything(ordered_log)) == 1_103


def test_who_is_far_behind_starts_from_the_head_instead_of_reading_everything(
    open_writer: Opens, ordered_log: OrderedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_CATCH_UP", 10)
    log = Gate(TicketLog(ordered_log))
    log.opened.set()
    writer, other = open_writer(log), open_writer()
    writer.execute(create())
    other.execute(*(create(id_(n)) for n in range(500)), rename("Theirs"))
    outcome = writer.execute(rename("Ours"))
    assert (outcome.version, outcome.position) == (3, 503)
    assert log.sizes == [1, 1, 1]


# Lists

LIST: Final = SubmissionList(
    ((create(id_(1)),), (rename("Chief", id_(9)),), (rename("Boss", id_(1)),)), key=KEY
)


def test_a_list_is_one_commit_and_answers_the_same_on_any_node(
    writer: Writer, open_writer: Opens, ordered_log: OrderedLog
) -> None:
    first = writer.submit(LIST).result()
    created, refused, renamed_ = first.items
    assert isinstance(created, Outcome) and isinstance(renamed_, Outcome)
    assert isinstance(refused, TicketNotFound)
    assert (first.position, first.appended, created.version, renamed_.version) == (2, 2, 1, 2)
    writer.execute(rename("Later", id_(1)))

    again = open_writer().submit(LIST).result()

    assert (again.position, again.replayed) == (2, True)
    assert [type(item) for item in again.items] == [Outcome, TicketNotFound, Outcome]
    for before, after in ((created, again.items[0]), (renamed_, again.items[2])):
        assert after == replace(before, replayed=True)
    assert len(everything(ordered_log)) == 3


def test_a_list_whose_acknowledgement_was_lost_is_found_again_by_its_key(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    log = Flaky(TicketLog(ordered_log))
    writer = open_writer(log)
    log.stores_silently = True
    with pytest.raises(StoreUnavailable):
        writer.submit(LIST).result()
    log.stores_silently = False
    assert writer.submit(LIST).result().replayed
    assert len(everything(ordered_log)) == 2


def test_a_list_is_decided_again_when_others_appended_first(
    writer: Writer, open_writer: Opens
) -> None:
    writer.execute(create(id_(9)))
    open_writer().execute(rename("Theirs", id_(9)))
    outcome = writer.submit(LIST).result()
    assert [type(item) for item in outcome.items] == [Outcome] * 3
    assert outcome.position == 5


# The store does not answer


def test_a_store_that_does_not_answer_is_said_to_everybody_and_then_the_writer_goes_on(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    log = Flaky(TicketLog(ordered_log))
    writer = open_writer(log)
    writer.execute(create())
    log.silent = True
    waiting = [writer.submit(one(create(id_(n)))) for n in range(20)]
    assert {type(answer(future)) for future in waiting} == {StoreUnavailable}
    log.silent = False
    assert writer.execute(rename("Chief", expected=1)).position == 2
    assert len(everything(ordered_log)) == 2


def test_a_store_that_does_not_answer_is_asked_once_for_a_whole_batch(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    log = Flaky(TicketLog(ordered_log))
    log.silent_after_next = True
    results = together(open_writer, log, [one(create(id_(n))) for n in range(20)])
    assert {type(result) for result in results} == {StoreUnavailable}
    assert log.refused == 1


def test_a_lost_acknowledgement_is_found_again_by_the_key(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    log = Flaky(TicketLog(ordered_log))
    writer = open_writer(log)
    log.stores_silently = True
    with pytest.raises(StoreUnavailable):
        writer.execute(create(), key=KEY)
    log.stores_silently = False
    again = writer.execute(create(), key=KEY)
    assert (again.version, again.position, again.replayed) == (1, 1, True)
    assert writer.execute(rename("Chief", expected=1)).position == 2
    assert len(everything(ordered_log)) == 2


# Time


def test_recorded_times_never_decrease_whatever_the_clock_does(
    writer: Writer, open_writer: Opens, clock: Clock, ordered_log: OrderedLog
) -> None:
    writer.execute(create(id_(1)))
    clock.now = START + timedelta(hours=1, microseconds=1_999)
    writer.execute(create(id_(2)))
    clock.now = START - timedelta(days=1)
    writer.execute(create(id_(3)))
    open_writer().execute(create(id_(4)))
    writer.execute(create(id_(5)))
    clock.now = START + timedelta(hours=2)
    open_writer().execute(create(id_(6)))
    clock.now = START
    writer.execute(create(id_(7)))

    hour = START + timedelta(hours=1, milliseconds=1)
    times = [recorded.recorded_at for recorded in everything(ordered_log)]
    assert times == [START, *[hour] * 4, *[START + timedelta(hours=2)] * 2]


def test_each_batch_is_told_once_it_is_durable(ordered_log: OrderedLog, clock: Clock) -> None:
    positions: list[int] = []

    def committed(events: Sequence[Recorded]) -> None:
        assert ordered_log.head() >= events[-1].position
        positions.extend(recorded.position for recorded in events)

    with closing(Writer(TicketLog(ordered_log), catalogue, clock, committed)) as writer:
        writer.execute(create(id_(1)), create(id_(2)))
        with pytest.raises(Refusal):
            writer.execute(create(id_(1)))
        writer.execute(rename("Chief", id_(2)))
    assert positions == [1, 2, 3]


# The queue before the writer, and the log's memory behind it


def test_more_than_can_wait_is_turned_away_and_what_waits_is_stored(
    open_writer: Opens, ordered_log: OrderedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BACKLOG", 5)
    gate = Gate(TicketLog(ordered_log))
    writer = open_writer(gate)
    writer.submit(one(create(id_(100))))
    assert gate.arrived.wait(30)
    waiting = [writer.submit(one(create(id_(n)))) for n in range(5)]
    with pytest.raises(Overloaded, match="nothing was stored"):
        writer.submit(one(create(id_(5))))
    gate.opened.set()
    assert [future.result().position for future in waiting] == [2, 3, 4, 5, 6]


def test_a_caller_who_goes_away_disturbs_nobody(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    gate = Gate(TicketLog(ordered_log))
    writer = open_writer(gate)
    gone = writer.submit(one(create(id_(1))))
    assert gate.arrived.wait(30)
    also_gone = writer.submit(one(create(id_(2))))
    assert gone.cancel()
    assert also_gone.cancel()
    stays = writer.submit(one(create(id_(3))))
    gate.opened.set()
    assert stays.result().position == 3
    assert writer.execute(rename("Chief", id_(1))).version == 2


def test_batches_of_any_size_keep_the_order_of_arrival(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    gate = Gate(TicketLog(ordered_log))
    writer = open_writer(gate, batch=3)
    futures = [writer.submit(one(create(id_(100))))]
    assert gate.arrived.wait(30)
    futures += [writer.submit(one(create(id_(n)))) for n in range(10)]
    gate.opened.set()
    assert [future.result().position for future in futures] == list(range(1, 12))
    assert gate.sizes == [1, 3, 3, 3, 1]


def test_submissions_handed_in_together_are_answered_in_their_order(
    open_writer: Opens,
) -> None:
    results: list[Outcome | Exception] = []
    writer = open_writer(remembered=2, batch=3)
    writer.hand_in_all([one(create(id_(n % 9))) for n in range(10)], results.append)
    writer.close()
    outcomes = [outcome for outcome in results if isinstance(outcome, Outcome)]
    assert [outcome.position for outcome in outcomes] == list(range(1, 10))
    assert isinstance(results[9], TicketExists)


def test_a_refusal_keeps_nothing_of_its_batch_alive() -> None:
    batch = Batch(0, START, catalogue(), {FOREMAN: UNBEGUN}, set())
    batch.take(one(rename("Chief")), {})
    (refusal,), kept = batch.results, ref(batch)
    gc.disable()
    try:
        del batch
        assert isinstance(refusal, TicketNotFound) and kept() is None
    finally:
        gc.enable()


class Asked:
    """A log that counts the streams it is asked for."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.streams: list[int] = []
        self.head, self.read = log.head, log.read
        self.answers, self.commit = log.answers, log.commit

    def histories(self, ticket_ids: Collection[str]) -> Mapping[str, Sequence[Recorded]]:
        self.streams.append(len(ticket_ids))
        return self._log.histories(ticket_ids)


def taking_over(numbers: range) -> list[Submission]:
    return [one(take_over(ticket_id=id_(number))) for number in numbers]


def test_a_log_is_not_asked_for_records_that_are_new_as_those_before_them_were(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    asked = Asked(TicketLog(ordered_log))
    writer = open_writer(asked, batch=10)
    writer.hand_in_all(taking_over(range(40)), lambda _: None)
    writer.close()
    assert [count for count in asked.streams if count] == [10]
    assert len(everything(ordered_log)) == 40


def test_records_that_are_here_already_are_found_wherever_they_come(
    open_writer: Opens, ordered_log: OrderedLog
) -> None:
    first = open_writer()
    for submission in taking_over(range(40, 50)):
        first.submit(submission).result()
    first.execute(quarantine(id_(55)))
    first.execute(rename("Chief", ticket_id=id_(45)))
    asked = Asked(TicketLog(ordered_log))
    writer = open_writer(asked, batch=10)
    results: list[Outcome | Exception] = []
    writer.hand_in_all(taking_over(range(70)), results.append)
    writer.close()
    outcomes = [outcome for outcome in results if isinstance(outcome, Outcome)]
    appended = [number for number, outcome in enumerate(outcomes) if outcome.appended]
    assert appended == [*range(40), *range(50, 70)]
    assert {len(outcomes), len(results)} == {70}
    assert outcomes[45].ticket and outcomes[45].ticket.name == "Chief"
    assert (outcomes[55].version, outcomes[54].version) == (2, 1)
    assert len([count for count in asked.streams if count]) < 7
    assert len(everything(ordered_log)) == 12 + 60


def test_what_was_encoded_beforehand_is_stored_as_if_it_had_not_been(
    ordered_log: OrderedLog,
) -> None:
    log, event, other = TicketLog(ordered_log), imported(name="„Süd“ 🧶"), imported(name="Other")
    log.prepare([(event, encode_event(event)), (other, b'{"seen": true}')])
    places = [Recorded(n, id_(n), 1, START, one) for n, one in enumerate((event, other), start=1)]
    log.commit(0, places, [])
    log.forget([event, other])
    log.commit(2, [Recorded(3, id_(3), 1, START, other)], [])
    first, second, third = (one.state for one in ordered_log.read(0, 3))
    assert first == encode(places[0]).state
    assert second.endswith(b',"data":{"seen": true}}')
    assert third == encode(places[1]).state


def test_what_was_just_committed_is_read_without_asking_the_store(
    ordered_log: OrderedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TicketLog(ordered_log)
    recorded = [Recorded(n, id_(n), 1, START, imported()) for n in range(1, 4)]
    log.commit(0, recorded[:2], [])
    log.commit(2, recorded[2:], [])
    monkeypatch.delattr(type(ordered_log), "read")
    assert [list(log.read(after, 2)) for after in range(3)] == [
        recorded[:2],
        recorded[1:],
        recorded[2:],
    ]


def test_what_a_log_remembers_is_what_the_store_holds(ordered_log: OrderedLog) -> None:
    mine, other = TicketLog(ordered_log), TicketLog(ordered_log)
    for position, log in enumerate((mine, mine, other, mine, other, other, mine, mine)):
        recorded = Recorded(position + 1, id_(position), 1, START, imported(name=str(position)))
        log.commit(position, [recorded], [])
        for reader in (mine, other):
            for after in range(position + 1):
                found = list(reader.read(after, 100))
                while found[-1].position <= position:
                    found += reader.read(found[-1].position, 100)
                assert found == list(TicketLog(ordered_log).read(after, 100))
            assert [r.position for r in reader.read(0, 2)] == [1, 2][: position + 1]
            assert reader.read(position + 1, 100) == []
            assert reader.read(0, 0) == []
