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
from infrastructure.migration.importer import Importer
from infrastructure.migration.records import Translation
from tests.support.stories import ACME, CATALOGUE, GLOBEX, START, catalogue, create, origin, rename

FOREMAN = ObjectId("52f22665a60c12d289185d95")

Present = dict[Any, bytes]


@pytest.fixture
def log(ordered_log: OrderedLog) -> TicketLog:
    return TicketLog(ordered_log)


@pytest.fixture
def writer(log: TicketLog) -> Iterator[Writer]:
    with closing(Writer(log, catalogue, lambda: START, lambda _: None)) as opened:
        yield opened


@pytest.fixture
def present() -> Present:
    """What stands in the old system, by id."""
    return {}


@pytest.fixture
def importer(writer: Writer, log: TicketLog, present: Present) -> Importer:
    def read(ids: Sequence[Any]) -> list[SourceChange]:
        return [SourceChange(record_id, present.get(record_id)) for record_id in ids]

    translation = Translation("ticket_1", "workforce_2", CATALOGUE)
    return Importer(writer, log, translation, origin, read)


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


def taken(importer: Importer, changes: Sequence[SourceChange], read_at: int) -> dict[str, int]:
    """How many records became what by taking these over."""
    before = importer.counts.as_changes_json()
    importer.take(changes, read_at)
    return gained(importer, before)


def removed(importer: Importer, stream_ids: Sequence[str], read_at: int) -> dict[str, int]:
    before = importer.counts.as_changes_json()
    importer.remove(stream_ids, read_at)
    return gained(importer, before)


def gained(importer: Importer, before: dict[str, int]) -> dict[str, int]:
    counts = importer.counts.as_changes_json().items()
    return {kind: count - before[kind] for kind, count in counts if count != before[kind]}


def names(log: TicketLog) -> list[str]:
    return [str(getattr(one.event, "name", one.event.TOPIC)) for one in log.read(0, 100)]


def test_each_record_is_taken_over_once(importer: Importer, log: TicketLog) -> None:
    changes = [
        SourceChange(FOREMAN, record("Foreman")),
        SourceChange("x", record("Crew", record_id="x")),
    ]
    assert taken(importer, changes, log.head()) == {"imported": 1, "quarantined": 1}
    assert taken(importer, changes, log.head()) == {"unchanged": 2}
    assert names(log) == ["Foreman", "legacy_record.quarantined"]


def test_a_record_that_somebody_else_took_over_meanwhile_is_read_again(
    importer: Importer, log: TicketLog, present: Present
) -> None:
    read_at = log.head()
    stale = [SourceChange(FOREMAN, record("As it was"))]
    present[FOREMAN] = record("As it is")
    importer.take([SourceChange(FOREMAN, present[FOREMAN])], log.head())

    assert taken(importer, stale, read_at) == {"unchanged": 1}
    assert names(log) == ["As it is"]

    present[FOREMAN] = record("Newest")
    assert taken(importer, stale, read_at) == {"imported": 1}
    assert names(log) == ["As it is", "Newest"]


def test_a_record_that_came_back_meanwhile_is_not_taken_to_be_gone(
    importer: Importer, log: TicketLog
) -> None:
    read_at = log.head()
    importer.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    assert removed(importer, [str(FOREMAN)], read_at) == {}
    assert removed(importer, [str(FOREMAN)], log.head()) == {"removed": 1}
    assert taken(importer, [SourceChange(FOREMAN, None)], log.head()) == {"unchanged": 1}


def test_a_record_of_another_organisation_than_its_ticket_goes_into_quarantine_once(
    importer: Importer, log: TicketLog
) -> None:
    importer.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    moved = [SourceChange(FOREMAN, record("Foreman", GLOBEX))]
    assert taken(importer, moved, log.head()) == {"quarantined": 1}
    assert taken(importer, moved, log.head()) == {"unchanged": 1}
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
    importer: Importer,
    writer: Writer,
    log: TicketLog,
) -> None:
    for command in before:
        writer.execute(command)
    importer.take([SourceChange(FOREMAN, record("Foreman"))], log.head())
    for command in after:
        writer.execute(command)
    change = first_change(log, "ticket_1")
    assert (change and change.position) == found
    assert first_change(log, "elsewhere") is None
