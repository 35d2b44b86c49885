"""`audit search --csv`: the audit log as a table for people."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.composition import open_service
from api.export.readable import COLUMNS, USUAL
from infrastructure.configuration.settings import load_settings
from tests.support.command import run
from tests.support.server import environment
from tests.support.stories import FOREMAN, change, create, origin, rename, retire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path / 'ticketbook.db'}"
    with open_service(load_settings(environment(url))) as service:
        odd = replace(rename("=Chief"), origin=origin(reason="two\u2028lines"))
        position = service.writer.execute(create(), odd, change("get_all"), retire()).position
        assert service.audit.live_version.progress.wait(position, 10)
        yield url


def table(store: str, *options: str) -> list[dict[str, str]]:
    settings = environment(store)
    url = settings.pop("TICKETBOOK_STORE")
    search = ("audit", "search", "--csv", "--order", "oldest")
    code, out, err = run(*search, *options, store=url, **settings)
    assert code == 0, err
    lines = out.removeprefix("\ufeff").splitlines()
    assert out.startswith("\ufeff") and len(lines) == 5
    return list(csv.DictReader(lines))


def test_a_readable_table_has_names_and_no_json_in_any_cell(store: str) -> None:
    rows = table(store)
    assert list(rows[0]) == list(USUAL)
    assert [row["name"] for row in rows] == ["Foreman", "'=Chief", "'=Chief", "'=Chief"]
    assert rows[1]["reason"] == "two\\u2028lines"
    assert {row["ticketId"] for row in rows} == {FOREMAN}
    assert rows[2]["revoked"] == "create_worker"
    assert rows[3]["revoked"] == "get_all"
    assert not any("{" in cell or "[" in cell for row in rows for cell in row.values())


def test_the_columns_are_those_that_were_chosen_in_their_order(store: str) -> None:
    rows = table(store, "--columns", "retired, nameBefore,position")
    assert [tuple(row.values()) for row in rows] == [
        ("no", "", "1"),
        ("no", "Foreman", "2"),
        ("no", "'=Chief", "3"),
        ("yes", "'=Chief", "4"),
    ]
    assert list(table(store, "--columns", ",".join(COLUMNS))[0]) == list(COLUMNS)


@pytest.mark.parametrize(
    "options",
    [("--csv", "--columns", "who"), ("--columns", "actor"), ("--csv", "--json")],
    ids=str,
)
def test_columns_that_there_are_not_are_refused(store: str, options: tuple[str, ...]) -> None:
    settings = environment(store)
    url = settings.pop("TICKETBOOK_STORE")
    assert run("audit", "search", *options, store=url, **settings)[0] == 2
