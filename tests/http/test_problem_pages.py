"""`/problems`: every code of the closed list is explained, to people and to machines."""

from collections.abc import Iterator

import httpx
import pytest

from api.http.errors.problems import KINDS, ProblemModel
from tests.support.server import refused, serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service on SQLite: these pages know no store."""
    folder = tmp_path_factory.mktemp("pages")
    with (
        serving(f"sqlite:///{folder}/store.db") as running,
        httpx.Client(base_url=running.url, verify=False) as client,
    ):
        yield client


@pytest.mark.parametrize("code", KINDS)
def test_a_machine_reads_what_a_problem_means_and_what_to_do(
    pages: httpx.Client, code: str
) -> None:
    kind = KINDS[code]
    explained = pages.get(f"/problems/{code}").json()

    assert explained["code"] == code
    assert explained["status"] == kind.status
    assert explained["title"] and explained["meaning"] and explained["remedy"]
    sample = explained["example"]
    shown = ProblemModel.model_validate(sample).model_dump(exclude_unset=True)
    assert shown == sample  # nothing in it that a problem document does not have
    assert (sample["type"], sample["status"]) == (f"/problems/{code}", kind.status)


@pytest.mark.parametrize("code", KINDS)
def test_a_browser_shows_the_same_as_a_page(pages: httpx.Client, code: str) -> None:
    answer = pages.get(f"/problems/{code}", headers=BROWSER)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    for heading in ("What it means", "What to do", "Example"):
        assert f"<h2>{heading}</h2>" in answer.text
    assert f"<code>{code}</code>" in answer.text
    assert "src=" not in answer.text and "http://" not in answer.text  # it loads nothing


def test_the_list_leads_to_every_problem(pages: httpx.Client) -> None:
    listed = [item["code"] for item in pages.get("/problems").json()["items"]]
    page = pages.get("/problems", headers=BROWSER).text

    assert listed == list(KINDS)
    assert [code for code in KINDS if f'href="/problems/{code}"' not in page] == []


def test_a_code_that_nobody_has_is_not_found(pages: httpx.Client) -> None:
    for headers in ({}, BROWSER):
        refused(pages.get("/problems/no-such-code", headers=headers), 404, "not-found")


def test_no_error_is_explained_twice_or_by_its_title_alone() -> None:
    meanings = [kind.meaning for kind in KINDS.values()]
    assert len(set(meanings)) == len(meanings)
    assert [kind.code for kind in KINDS.values() if kind.meaning == kind.title] == []
