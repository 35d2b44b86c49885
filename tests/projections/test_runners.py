"""One pass over the log for all views of a process, on each real store."""

import gc
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest

from domain.errors import Fenced
from domain.ticket.events import Recorded
from infrastructure.log.ticket_log import TicketLog
from infrastructure.sqlite.bulk import delete, insert
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.steps import take_together
from projections.audit.projection import AUDIT
from projections.running import runner as runner_module
from projections.running import runners as runners_module
from projections.running.applier import Applier
from projections.running.progress import Progress
from projections.running.projection import Projected, Projection
from projections.running.runner import LEASE_SECONDS, Runner
from projections.running.runners import Runners
from projections.tickets.projection import TICKETS
from projections.versions.repair import leading
from projections.versions.verification import verify
from tests.support.rebuilds import House, poisoned
from tests.support.stories import START, create, id_, rename
from tests.support.view_rows import open_store

SOON = 30.0
"""Longer than anything here should take."""


@pytest.fixture
def house(store_url: str) -> Iterator[House]:
    with open_store(store_url) as opened:
        house = House(opened)
        with closing(house.writer):
            yield house


class CountingLog(TicketLog):
    """A log that notes the positions it is asked to read, as another process does: no tail."""

    def __init__(self, house: House) -> None:
        super().__init__(house.opened.log, tail=0)
        self.positions: list[int] = []

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        events = super().read(after, limit)
        self.positions += [recorded.position for recorded in events]
        return events


class Process:
    """Both views of a store in one process; `projections` may be poisoned ones."""

    def __init__(self, house: House, projections: Collection[Projection[Any]] = (TICKETS, AUDIT)):
        self.log, self.head = CountingLog(house), Progress()
        stores = house.opened.stores
        self.runners = Runners(self.head, stores.take_steps)
        views: Mapping[str, Any] = {"tickets": house.opened.tickets, "audit": house.opened.audit}
        self.projected = [
            Projected(kind, views[kind.name], self.log, stores.leases, lambda: START, dict)
            for kind in projections
        ]
        self.each = [
            Runner(projected, self.runners, Progress(), "one") for projected in self.projected
        ]

    def __enter__(self) -> "Process":
        for runner in self.each:
            runner.start()
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self.each:
            runner.stop()

    def reach(self, position: int) -> None:
        self.head.advance(position)
        for runner in self.each:
            assert runner.progress.wait(position, SOON), (runner.problem, runner.progress.position)


def until(reached: Callable[[], bool]) -> None:
    deadline = monotonic() + SOON
    while not reached():
        assert monotonic() < deadline
        sleep(0.01)


@pytest.mark.parametrize("batch", [4, 100])
def test_an_event_is_read_and_decoded_once_for_all_views(
    house: House, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(runners_module, "BATCH", batch)
    monkeypatch.setattr(runners_module, "FAR", 2 * batch)
    with Process(house) as process:
        until(lambda: all(runner.leading for runner in process.each))
        house.fill()
        process.reach(27)
    assert sorted(process.log.positions) == list(range(1, 28))
    assert [verify(projected).mismatches for projected in process.projected] == [[], []]


def test_a_view_that_is_behind_joins_the_others(house: House) -> None:
    house.fill()
    Applier(Process(house).projected[1], 1).step(9)
    with Process(house) as process:
        process.reach(27)
        position = house.writer.execute(create(id_(70))).position
        process.log.positions.clear()
        process.reach(position)
    assert process.log.positions == [position]
    assert [verify(projected).mismatches for projected in process.projected] == [[], []]


def test_a_view_that_another_process_leads_is_left_to_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LEASE_SECONDS", SOON)
    house.fill()
    with Process(house) as process:
        with leading(process.projected[0], "another"):
            until(lambda: not process.each[0].leading)
            position = house.writer.execute(create(id_(70))).position
            process.head.advance(position)
            assert process.each[1].progress.wait(position, SOON)
            assert [runner.leading for runner in process.each] == [False, True]
            assert house.opened.tickets.checkpoint() < position
        process.reach(position)


def test_a_runner_that_is_fenced_takes_no_other_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LEASE_SECONDS", SOON)
    house.fill()
    with Process(house) as process:
        process.reach(27)
        house.opened.leases.seize("tickets@1", "operator", LEASE_SECONDS)
        house.opened.tickets.take_over(1_000)
        position = house.writer.execute(create(id_(70))).position
        process.head.advance(position)
        assert process.each[1].progress.wait(position, SOON)
        until(lambda: not process.each[0].leading)
        assert (house.opened.tickets.checkpoint(), process.each[1].leading) == (27, True)


def test_a_poisoned_ticket_is_parked_in_its_view_alone(house: House) -> None:
    house.fill()
    with Process(house, (poisoned(TICKETS, id_(5), 2), AUDIT)) as process:
        process.reach(27)
    assert list(house.opened.tickets.parked()) == [id_(5)]
    assert house.opened.audit.parked() == {}


def test_a_row_that_the_store_refuses_is_parked_in_its_view_alone(house: House) -> None:
    house.fill()

    def overflowing(row: Any, recorded: Recorded) -> Any:
        ticket = TICKETS.project(row, recorded)
        too_large = ticket and recorded.ticket_id == id_(5)
        return replace(ticket, revision=2**70) if ticket and too_large else ticket

    with Process(house, (Projection("tickets", overflowing, every=False), AUDIT)) as process:
        process.reach(27)
    assert list(house.opened.tickets.parked()) == [id_(5)]
    assert house.opened.audit.parked() == {}
    assert verify(process.projected[1]).mismatches == []


def test_a_stuck_view_holds_up_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners_module, "PATIENCE", 0.01)
    go_on = Event()

    def stuck(row: Any, recorded: Recorded) -> Any:
        go_on.wait(SOON)
        return TICKETS.project(row, recorded)

    house.fill()
    with Process(house, (Projection("tickets", stuck, every=False), AUDIT)) as process:
        process.head.advance(27)
        assert process.each[1].progress.wait(27, SOON)
        position = house.writer.execute(rename("Chief", id_(4))).position
        process.head.advance(position)
        assert process.each[1].progress.wait(position, SOON)
        assert process.each[0].progress.position == 0
        go_on.set()
        process.reach(position)


# On SQLite


def test_a_step_of_all_views_is_one_transaction(tmp_path: Path) -> None:
    commits: list[str] = []
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        house = House(opened)
        house.fill()
        views = Process(house).projected
        appliers = [Applier(projected, 1) for projected in views]
        events = house.log.read(0, 100)
        steps = [ready.step for a in appliers if (ready := a.prepare(events))]
        database = opened.tickets._database  # type: ignore[attr-defined]
        with database.writing(lasting=False) as connection:
            pass
        connection.set_trace_callback(commits.append)
        assert take_together(database, steps) == [None, None]
        assert [statement for statement in commits if "COMMIT" in statement] == ["COMMIT"]
        assert opened.tickets.checkpoint() == opened.audit.checkpoint() == 27
        house.writer.close()


def test_of_steps_that_fail_together_only_the_one_to_blame_fails(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        house = House(opened)
        house.fill()
        appliers = [Applier(projected, 1) for projected in Process(house).projected]
        events = house.log.read(0, 100)
        steps = [ready.step for a in appliers if (ready := a.prepare(events))]
        opened.tickets.take_over(2)
        database = opened.tickets._database  # type: ignore[attr-defined]
        first, second = take_together(database, steps)
        assert (type(first), second) == (Fenced, None)
        assert (opened.tickets.checkpoint(), opened.audit.checkpoint()) == (0, 27)
        house.writer.close()


def test_only_steps_of_views_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "store.db")
    durable, normal = 2, 1
    with database.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (durable,)
    with database.writing(lasting=False) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (normal,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000, 1_500])
def test_many_rows_take_few_statements(count: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b, c, d)")
        statements: list[str] = []
        rows = [(n, n, "x", None) for n in range(count)]
        connection.set_trace_callback(statements.append)
        insert(connection, "INSERT INTO t", rows)
        assert len(statements) <= 11
        assert connection.execute("SELECT * FROM t ORDER BY a").fetchall() == rows
        delete(connection, "t", ("a", "b"), [(n, n) for n in range(0, count, 2)])
        left = connection.execute("SELECT a FROM t ORDER BY a").fetchall()
        assert left == [(n,) for n in range(1, count, 2)]


@pytest.mark.parametrize(("far", "rarely"), [(4, True), (4_000, False)])
def test_a_process_looks_for_cycles_rarely_while_its_views_are_far_behind(
    house: House, monkeypatch: pytest.MonkeyPatch, far: int, rarely: bool
) -> None:
    """So an event costs the same however many rows are remembered."""
    monkeypatch.setattr(runners_module, "FAR", far)
    usual = gc.get_threshold()
    seen: list[tuple[int, int, int]] = []

    def project(row: Any, recorded: Recorded) -> Any:
        seen.append(gc.get_threshold())
        return TICKETS.project(row, recorded)

    house.fill()
    with Process(house, (Projection("tickets", project, every=False), AUDIT)) as process:
        process.reach(27)
    assert (seen[0] != usual) == rarely
    assert gc.get_threshold() == usual
