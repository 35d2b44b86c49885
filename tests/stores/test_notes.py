"""What notes promise, on every store."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from api.composition import open_stores
from infrastructure.configuration.settings import load_settings
from infrastructure.stores import Notes, Stores


def open_store(url: str) -> AbstractContextManager[Stores]:
    return open_stores(load_settings({"TICKETBOOK_STORE": url}))


@pytest.fixture
def notes(store_url: str) -> Iterator[Notes]:
    with open_store(store_url) as stores:
        yield stores.notes


def test_a_note_is_found_as_it_was_kept(notes: Notes) -> None:
    value = {"a": [1, 2.5, None, True], "b": {"c": "é"}}
    notes.keep("one", value)
    notes.keep("two", [])
    assert (notes.find("one"), notes.find("two")) == (value, [])


def test_there_is_nothing_under_a_name_that_nobody_used(notes: Notes) -> None:
    assert notes.find("one") is None
    notes.forget("one")


def test_the_latest_note_counts_until_it_is_forgotten(notes: Notes) -> None:
    notes.keep("one", 1)
    notes.keep("one", 2)
    assert notes.find("one") == 2
    notes.forget("one")
    assert notes.find("one") is None


def test_a_note_outlives_the_process_that_made_it(store_url: str) -> None:
    with open_store(store_url) as stores:
        stores.notes.keep("one", {"place": "here"})
    with open_store(store_url) as stores:
        assert stores.notes.find("one") == {"place": "here"}
