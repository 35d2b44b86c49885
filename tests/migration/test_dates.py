"""Dates of old records, as the writers of other languages leave them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import Code, Decimal128, Timestamp
from bson.int64 import Int64

from domain.ticket.commands import ImportTicket
from infrastructure.migration.expected import ExpectedTicket, expect
from infrastructure.migration.records import Translation
from tests.support.old_records import BORN, CLEAN
from tests.support.stories import CATALOGUE, origin

MINUTE = datetime(2024, 8, 23, 3, 52, tzinfo=UTC)
SECOND = MINUTE + timedelta(seconds=50)
TEXT, NUMBER = "createdAt was text", "createdAt was a number of milliseconds"
STAMP, NONE = "createdAt was a timestamp", "createdAt was no date: from _id"


def after(milliseconds: int) -> datetime:
    return SECOND + timedelta(milliseconds=milliseconds)


DATES: list[tuple[Any, datetime, str]] = [
    ("2024-08-23T03:52:50Z", SECOND, TEXT),
    ("2024-08-23T03:52:50.1234567Z", after(123), TEXT),  # .NET
    ("2024-08-23T03:52:50.123999999Z", after(123), TEXT),  # Go
    ("2024-08-23T03:52:50.1Z", after(100), TEXT),
    ("2024-08-23T03:52:50,5+01:00", after(500) - timedelta(hours=1), TEXT),
    ("2024-08-23T03:52:50+0000", SECOND, TEXT),  # Java, old mongoexport
    ("2024-08-23T03:52:50-0530", SECOND + timedelta(hours=5, minutes=30), TEXT),
    ("2024-08-23 03:52:50.891+00", after(891), TEXT),  # PostgreSQL
    ("2024-08-23T03:52Z", MINUTE, TEXT),
    (Timestamp(1724385170, 1), SECOND, STAMP),
    (Int64(1724385170891), after(891), NUMBER),
    (1724385170891.0, after(891), NUMBER),
    (Decimal128("1724385170891"), after(891), NUMBER),
    (Decimal128("1.724385170891E+12"), after(891), NUMBER),
    (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), NUMBER),
    *((value, BORN, NONE) for value in (253_402_300_800_000, 1724385170, 99_999_999_999)),
    *((value, BORN, NONE) for value in (1724385170.5, float("nan"), float("inf"), True, -(10**12))),
    *((Decimal128(text), BORN, NONE) for text in ("NaN", "-Infinity", "1E+6000", "sNaN")),
    (Timestamp(0, 1), BORN, NONE),
    *((value, BORN, NONE) for value in (None, list[str](), dict[str, str](), Code("2024"))),
    *(
        (text, BORN, NONE)
        for text in (
            *("", "Z", "now", "1724385170891", "2024-08-23", "2024-08-23T03:52:50", "2024-08-23Z"),
            *("2024-08-23T3:52:50Z", "2024-8-23T03:52:50Z", "20240823T035250Z", "2024-W34-5T03Z"),
            *(
                "2024-08-23T03:52:50.Z",
                "2024-08-23T03:52.5Z",
                "2024-08-23T03Z",
                "2024-02-30T03:52Z",
            ),
            *("2024-08-23T24:00:00Z", "2024-08-23T03:60Z", "2016-12-31T23:59:60Z"),
            *("2024-08-23T03:52:50+24:00", "2024-08-23T03:52:50+01:60", "2024-08-23T03:52:50+1"),
            *("2024-08-23T03:52:50+01:", "2024-08-23T03:52:50+ 1:00", "2024-08-23T03:52:50 Z"),
            *("2024-08-23T03:52:5\u0660Z", "2024-08-23T03:52:50.\u0661Z", "2024-08-23T03:52:50ZZ"),
            *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "+2024-08-23T03:52Z"),
        )
    ),
]
"""What is stored, the moment it means, and the repair that says so."""


@pytest.mark.parametrize(("stored", "moment", "repair"), DATES, ids=lambda value: repr(value)[:40])
def test_a_date_of_one_meaning_is_read_alike_by_run_and_by_verify_and_the_repair_is_told(
    stored: Any, moment: datetime, repair: str
) -> None:
    record = bson.encode(CLEAN | {"createdAt": stored})
    command = Translation("ticket_1", "workforce_2", CATALOGUE).command(record, origin())
    assert isinstance(command, ImportTicket)
    assert (command.imported.created_at, command.imported.repairs) == (moment, (repair,))

    systems = {name: system.features.keys() for name, system in CATALOGUE.systems.items()}
    expected = expect(record, "workforce_2", systems)
    assert isinstance(expected, ExpectedTicket)
    assert expected.fields["createdAt"] == moment
    assert expected.mended == {"createdAt"}
