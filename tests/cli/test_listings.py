"""Listings tell how much there is, refuse names that nobody knows, and say which moments they
mean."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from api.cli.audit import filter, past
from api.cli.listing import read_listing
from api.cli.times import Times, times
from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import ChangeFeatures, CreateTicket
from infrastructure.configuration.settings import load_settings
from tests.support.command import run

ORG: Final = "52f22665a60c12d289185d95"
TICKETS: Final = 60
NOW: Final = datetime(2025, 10, 29, 9, 30, tzinfo=UTC)
"""A Wednesday."""


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are run ten minutes after everything happened."""
    for module in (past, filter):
        monkeypatch.setattr(module, "now", lambda: NOW + timedelta(minutes=10))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty tickets; the first granted get_all twice."""
    address = f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"
    settings = load_settings({"TICKETBOOK_STORE": address})
    with open_service(settings, clock=lambda: NOW) as service:
        origin = Origin("ada", None, "run-1", None, milliseconds(service.clock()))
        for number in range(TICKETS):
            create = CreateTicket(
                f"{number:024x}", origin, ORG, "workforce_2", f"Crew {number}", ("get_all",)
            )
            service.writer.execute(create)
        for features in ((), ("get_all",)):
            service.writer.execute(ChangeFeatures(f"{0:024x}", origin, ORG, None, features))
        for view in service.projections.values():
            assert view.live_version.progress.wait(TICKETS + 2, timeout=60)
    return address


def lines(*command: str, store: str) -> tuple[list[str], str]:
    """The rows of the table without its head, and what was said."""
    code, out, err = run("audit", *command, store=store)
    assert code == 0, err
    return out.splitlines()[1:], err


@pytest.mark.parametrize(
    ("command", "noun", "number"),
    [
        (("search",), "entries", 62),
        (("at", "62"), "tickets", 60),
        (("grants", "get_all", "today"), "grants", 61),
        (("diff", "0"), "changes", 120),
    ],
)
def test_a_listing_says_how_much_there_is_and_its_limit_counts_rows(
    store: str, command: tuple[str, ...], noun: str, number: int
) -> None:
    rows, said = lines(*command, store=store)
    assert len(rows) == 50
    assert f"50 of {number} {noun}. See more with --limit or --all.\n" in said
    rows, said = lines(*command, "--limit", "7", store=store)
    assert (len(rows), f"7 of {number} {noun}." in said) == (7, True)
    rows, said = lines(*command, "--all", store=store)
    assert (len(rows), " of " in said) == (number, False)
    code, out, said = run("audit", *command, "--limit", "7", "--json", store=store)
    assert (code, len(json.loads(out))) == (0, 7)
    assert re.search(r"7 of 6\d \w+\. See more with --limit or --all\.\n", said)


def test_the_journal_says_how_much_there_is(store: str) -> None:
    for _ in range(3):
        lines("reads", "--limit", "2", store=store)
    rows, said = lines("reads", "--limit", "2", store=store)
    assert len(rows) == 2
    assert re.match(r"2 of \d+ entries\. See more", said)


def test_a_listing_looks_one_page_ahead_and_then_says_at_least() -> None:
    def page(place: int | None, wanted: int) -> tuple[range, int | None]:
        start = place or 0
        end = min(start + wanted, 5_000)
        return range(start, end), end if end < 5_000 else None

    listing = read_listing(page, 50)
    assert (len(listing.items), len(listing.ahead), listing.whole) == (50, 1_000, False)
    listing = read_listing(page, 4_500)
    assert (len(listing.items), len(listing.ahead), listing.whole) == (4_500, 500, True)
    assert len(read_listing(page, None).items) == 5_000


@pytest.mark.parametrize(
    ("command", "option", "hint"),
    [
        ("search --feature get_al", "feature", "Did you mean 'get_all'?"),
        ("search --granted get_al", "granted", "Did you mean 'get_all'?"),
        ("search --revoked get_al", "revoked", "Did you mean 'get_all'?"),
        ("search --system workforce", "system", "Did you mean 'workforce_2'?"),
        ("search --action ticket.create", "action", "Did you mean 'ticket.created'?"),
        ("export --feature get_al", "feature", "Did you mean 'get_all'?"),
        ("at 3 --system workforce", "system", "Did you mean 'workforce_2'?"),
        ("at 3 --feature get_al", "feature", "Did you mean 'get_all'?"),
        ("grants get_al today", "FEATURE", "Did you mean 'get_all'?"),
        ("grants get_all today --system workforce", "system", "Did you mean 'workforce_2'?"),
        ("diff 0 --system workforce", "system", "Did you mean 'workforce_2'?"),
    ],
)
def test_a_filter_by_a_name_that_nobody_knows_is_wrong_usage(
    store: str, command: str, option: str, hint: str
) -> None:
    code, out, err = run("audit", *command.split(), store=store)
    assert (code, out) == (2, "")
    assert f"Invalid value for '{option}'" in err
    assert hint in err


def test_a_name_that_only_the_log_knows_is_an_answer(store: str, tmp_path: Path) -> None:
    catalogue = tmp_path / "small.toml"
    catalogue.write_text('[systems.other]\ndescription = "O"\n[systems.other.features]\nx = "X"\n')
    search = ("audit", "search", "--feature", "get_all", "--system", "workforce_2", "--json")
    code, out, _ = run(*search, store=store, TICKETBOOK_CATALOGUE=str(catalogue))
    assert (code, len(json.loads(out))) == (0, 50)


def test_an_empty_table_says_which_filters_emptied_it(store: str) -> None:
    rows, said = lines("search", "--actor", "eve", "--since", "2020-01-01", store=store)
    assert rows == []
    assert said == "No entries with actor eve, since 2020-01-01T00:00:00.000Z.\n"


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2025-10-28", "UTC", "2025-10-28T00:00:00"),
        ("2025-10-28", "Europe/Rome", "2025-10-27T23:00:00"),
        ("2025-10-28T09:30", "Europe/Rome", "2025-10-28T08:30:00"),
        ("2025-10-28T09:30:00Z", "Europe/Rome", "2025-10-28T09:30:00"),
        ("now", "UTC", "2025-10-29T09:30:00"),
        ("today", "UTC", "2025-10-29T00:00:00"),
        ("yesterday", "UTC", "2025-10-28T00:00:00"),
        ("Yesterday", "Asia/Tokyo", "2025-10-27T15:00:00"),
        ("7d", "UTC", "2025-10-22T09:30:00"),
        ("90m", "UTC", "2025-10-29T08:00:00"),
        ("12h ago", "UTC", "2025-10-28T21:30:00"),
        ("2w", "UTC", "2025-10-15T09:30:00"),
        ("this week", "UTC", "2025-10-27T00:00:00"),
        ("last week", "UTC", "2025-10-20T00:00:00"),
        ("this month", "UTC", "2025-10-01T00:00:00"),
        ("last month", "UTC", "2025-09-01T00:00:00"),
    ],
)
def test_a_moment_is_read_as_people_say_it(text: str, zone: str, moment: str) -> None:
    expected = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert reader(zone).moment(text, "--since") == expected
    assert reader(zone).when(text, "WHEN") == expected


@pytest.mark.parametrize(
    ("text", "zone", "start", "end"),
    [
        ("2025-10-26", "Europe/Rome", "2025-10-25T22:00:00", "2025-10-26T23:00:00"),  # 25 hours
        ("yesterday", "UTC", "2025-10-28T00:00:00", "2025-10-29T00:00:00"),
        ("last week", "UTC", "2025-10-20T00:00:00", "2025-10-27T00:00:00"),
        ("last month", "UTC", "2025-09-01T00:00:00", "2025-10-01T00:00:00"),
    ],
)
def test_a_day_is_a_day_of_its_time_zone(text: str, zone: str, start: str, end: str) -> None:
    span = reader(zone).span(text, "--on")
    assert (span.start, span.end) == tuple(
        datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end)
    )


@pytest.mark.parametrize(
    "text",
    ["", " ", "7", "7x", "-1d", "99999999w", "999999w", "tomorrow", "1761643800", "28.10.2025"],
)
def test_other_text_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        reader("UTC").moment(text, "--since")
    with pytest.raises(typer.BadParameter):
        reader("UTC").span(text, "--on")


def test_a_time_zone_that_is_none_is_wrong_usage(store: str) -> None:
    for zone in ("Europe/Rom", "", "/etc/passwd", "x" * 5_000):
        code, _, err = run("audit", "search", "--tz", zone, store=store)
        assert (code, "there is no time zone" in err) == (2, True)


def reader(zone: str) -> Times:
    return times(zone, lambda: NOW)


def test_a_day_in_the_place_of_a_moment_is_said_and_on_means_its_end(store: str) -> None:
    day = NOW.date().isoformat()
    rows, said = lines("at", day, store=store)
    assert rows == []
    assert f"WHEN {day} means {day}T00:00:00.000Z. --on '{day}' means the end of it." in said
    assert len(lines("at", "--on", day, "--all", store=store)[0]) == 60
    assert len(lines("at", "--on", "today", "--all", store=store)[0]) == 60
    assert len(lines("diff", "--on", "today", "--all", store=store)[0]) == 120
    assert len(lines("search", "--on", "today", "--all", store=store)[0]) == 62
    assert lines("search", "--on", "yesterday", store=store)[0] == []
    assert len(lines("search", "--since", "1h", "--all", store=store)[0]) == 62
    assert lines("search", "--before", "1h", store=store)[0] == []


@pytest.mark.parametrize(
    "command",
    [
        "at",
        "at 3 --on today",
        "diff",
        "diff 1 --on today",
        "grants get_all",
        "grants get_all today --on today",
        "search --on today --since 1h",
        "at --on 2999-01-01",
        "diff --on 2999-01-01",
        "search --on 3",
    ],
)
def test_one_moment_is_said_once(store: str, command: str) -> None:
    assert run("audit", *command.split(), store=store)[:2] == (2, "")


def test_the_order_is_named_as_over_http(store: str) -> None:
    def first(*options: str) -> Any:
        out = run("audit", "search", "--limit", "1", *options, "--json", store=store)[1]
        return json.loads(out)[0]["position"]

    assert (first(), first("--order", "newest")) == (62, 62)
    assert (first("--order", "oldest"), first("--oldest-first")) == (1, 1)
