"""The nearest spelling, found without comparing every name that there is."""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import pytest

from domain import spelling
from domain.catalogue import Catalogue, System
from domain.errors import InvalidFeatures, InvalidName, UnknownFeature
from domain.spelling import nearest
from domain.ticket.handlers import change_features, create_ticket, rename_ticket
from domain.ticket.state import fold
from tests.support.stories import CATALOGUE, change, create, created, rename, stream

TICKET = fold(stream([created()]))
FEATURES = [f"{verb}_{noun}" for verb in ("create", "delete", "get") for noun in ("shift", "area")]


@pytest.mark.parametrize("known", FEATURES)
def test_a_slip_finds_what_comparing_everything_would(known: str) -> None:
    slips = [known[1:], known[:-1], f"{known}s", known.upper(), known.replace("_", "-"), "zzz", ""]
    for slip in slips:
        close = get_close_matches(slip, FEATURES, n=1)
        assert nearest(slip, FEATURES) == (close[0] if close else None)


def test_of_many_names_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def counted(name: str, names: list[str], n: int) -> list[str]:
        compared.extend(names)
        assert len(name) <= 64
        return get_close_matches(name, names, n=n)

    monkeypatch.setattr(spelling, "get_close_matches", counted)
    features = {f"create_number_{number}": "" for number in range(2_000)}
    catalogue = Catalogue({"big": System("big", "", features)})

    with pytest.raises(UnknownFeature) as refused:
        catalogue.check("big", [f"creat_number_{number}" + "x" * 100_000 for number in range(500)])

    assert len(compared) <= 3 * 8
    assert len(refused.value.faults) == 21


class Unread(str):
    """A text that nobody may look through."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("its characters were looked at")


class UnreadList(tuple[Any, ...]):
    """A list that nobody may look through."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("its items were looked at")


def test_a_long_name_is_refused_by_its_length_alone() -> None:
    name = Unread("x" * 1_000_000)
    with pytest.raises(InvalidName, match="1000000 characters"):
        create_ticket(create(name=name), None, CATALOGUE)
    with pytest.raises(InvalidName, match="1000000 characters"):
        rename_ticket(rename(name), TICKET, CATALOGUE)


def test_a_long_list_is_refused_by_its_length_alone() -> None:
    features = UnreadList(["get_all"] * 100_000)
    with pytest.raises(InvalidFeatures):
        create_ticket(replace(create(), features=features), None, CATALOGUE)
    with pytest.raises(InvalidFeatures):
        change_features(replace(change(), features=features), TICKET, CATALOGUE)
