"""Taking records over while somebody else may take over as well."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import bson
import pytest
from bson import ObjectId

from domain.ticket.events import LegacyRecordQuarantined
from infrastructure.log.ordered_log import OrderedLog
from infrastructure.log.ticket_log import TicketLog
from infrastructure.log.writer import Writer
from infrastructure.migration.changes import SourceChange
from infrastructure.migration.imported_events import first_change
from infrastructure.migration.intake import Intake, Taken
from infrastructure.migration.records import Translation
from tests.support.stories import ACME, CATALOGUE, GLOBEX, START, catalogue, create, origin, rename

FOREMAN = ObjectId("52f22665a60c12d289185d95")

Standing = dict[Any, bytes]


@pytest.fixture
def log(ordered_log: OrderedLog) -> TicketLog:
    return TicketLog(ordered_log)


@pytest.fixture
def writer(log: TicketLog) -> Iterator[Writer]:
    with closing(Writer(log, catalogue, lambda: START, lambda _: None)) as opened:
        yield opened


@pytest.fixture
def standing() -> Standing:
    """What stands in the old system, by id."""
    return {}


@pytest.fixture
def intake(writer: Writer, log: TicketLog, standing: Standing) -> Intake:
    def read(ids: Sequence[Any]) -> list[SourceChange]:
        return [SourceChange(one, standing.get(one)) for one in ids]

    return Intake(writer, log, Translation("ticket_1", "workforce_2", CATALOGUE), read, origin)


def record(name: str, org: str = ACME, record_id: Any = FOREMAN) -> bytes:
    return bson.encode(
        {
            "_id": record_id,
            "name": name,
            "orgId": ObjectId(org),
            "features": [],
            "createdAt": START,
            "updatedAt": START,
            "__v": 0,
        }
    )


def names(log: TicketLog) -> list[str]:
    return [str(getattr(one.event, "name", one.event.TOPIC)) for one in log.read(0, 100)]


def test_each_record_is_taken_over_once(intake: Intake, log: TicketLog) -> None:
    changes = [
        SourceChange(FOREMAN, record("Foreman")),
        SourceChange("x", record("Crew", record_id="x")),
    ]
    assert intake.take(changes, log.head()) == Taken(imported=1, quarantined=1)
    assert intake.take(changes, log.head()) == Taken(unchanged=2)
    assert names(log) == ["Foreman", "legacy_record.quarantined"]


def test_a_record_that_somebody_else_took_over_meanwhile_is_read_again(
    intake: Intake, log: TicketLog, standing: Standing
) -> None:
    read_at = log.head()
    stale = [SourceChange(FOREMAN, record("As it was"))]
    standing[FOREMAN] = record("As it is")
    intake.take([SourceChange(FOREMAN, standing[FOREMAN])], log.head())

    assert intake.take(stale, read_at) == Taken(unchanged=1)
    assert names(log) == ["As it is"]

    standing[FOREMAN] = record("Newest")
    assert intake.take(stale, read_at) == Taken(imported=1)
    assert names(log) == ["As it is", "Newest"]


def test_a_record_that_came_back_meanwhile_is_not_taken_to_be_gone(
    intake: Intake, log: TicketLog
) -> None:
    read_at = log.head()
    intake.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    assert intake.remove([str(FOREMAN)], read_at) == Taken()
    assert intake.remove([str(FOREMAN)], log.head()) == Taken(removed=1)
    assert intake.take([SourceChange(FOREMAN, None)], log.head()) == Taken(unchanged=1)


def test_a_record_of_another_organisation_than_its_ticket_goes_into_quarantine_once(
    intake: Intake, log: TicketLog
) -> None:
    intake.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    moved = [SourceChange(FOREMAN, record("Foreman", GLOBEX))]
    assert intake.take(moved, log.head()) == Taken(quarantined=1)
    assert intake.take(moved, log.head()) == Taken(unchanged=1)
    last = log.read(1, 1)[0].event
    assert isinstance(last, LegacyRecordQuarantined)
    assert "another organisation" in last.reason


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ((), (), None),
        ((create("0" * 24),), (), None),
        ((), (rename("Chief"),), 2),
        ((create("0" * 24),), (create("1" * 24), rename("Chief")), 3),
    ],
)
def test_the_first_change_here_is_found_after_the_first_record(
    before: Sequence[Any],
    after: Sequence[Any],
    found: int | None,
    intake: Intake,
    writer: Writer,
    log: TicketLog,
) -> None:
    for command in before:
        writer.execute(command)
    intake.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    for command in after:
        writer.execute(command)
    change = first_change(log, "ticket_1")
    assert (change and change.position) == found
    assert first_change(log, "elsewhere") is None
