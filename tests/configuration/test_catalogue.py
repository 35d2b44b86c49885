"""The catalogue file: what it may say, how a mistake is reported, and when it is read again."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from domain.catalogue import Catalogue, System
from domain.errors import ConfigurationError
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.catalogue_toml import parse_catalogue
from infrastructure.configuration.settings import BUNDLED

LIBRARY = """\
[every_system.features]
get_tickets = "List tickets."

[systems.library]
description = "Lends books."
[systems.library.features]
lend_book = "Lend a book."
"""

LEGACY_FEATURES = {
    "revolution_counter_1": (
        "create_downtime_log create_location create_needle_change_log create_operator "
        "create_shift create_supervisor create_update_machine create_yarn delete_machine get_all "
        "get_downtime_logs get_entities get_machine get_needle_change_logs get_one "
        "get_shift_reports"
    ),
    "workforce_2": (
        "create_shift create_supervisor create_update_area create_worker delete_area get_all "
        "get_area get_entities get_one get_shift_reports"
    ),
    "donear_3": (
        "create_forecast_from_ml create_update_forecast create_update_indicator "
        "create_update_scenario get_accuracy_history get_all get_forecast get_indicators "
        "get_scenarios test_scenario"
    ),
    "system_2": "create_item update_item delete_item get_items",
    "system_3": "create_item update_item delete_item get_items",
}


class Monotonic:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.toml"
    path.write_text(LIBRARY)
    return path


def features(catalogue: Catalogue, system: str) -> list[str]:
    return list(catalogue.system(system).features)


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read()
    return str(caught.value)


def test_the_bundled_catalogue_has_every_legacy_feature_and_the_ticket_features_last() -> None:
    bundled = CatalogueFile(BUNDLED, Monotonic()).current()
    assert list(bundled.systems) == list(LEGACY_FEATURES)
    for system, names in LEGACY_FEATURES.items():
        assert features(bundled, system) == [*names.split(), "create_update_ticket", "get_tickets"]


def test_a_new_system_is_a_few_lines_and_nothing_else() -> None:
    catalogue = parse_catalogue(BUNDLED.read_text() + LIBRARY.partition("\n\n")[2], "file")
    library = catalogue.system("library")
    assert library.description == "Lends books."
    assert library.features["lend_book"] == "Lend a book."
    assert "get_tickets" in library.features


MISTAKES = {
    "empty file": ("", "", "there is no system"),
    "no system": ('[every_system.features]\na = "A."\n', "", "there is no system"),
    "empty systems": (
        '[every_system.features]\na = "A."\n[systems]\n',
        "systems",
        "there is no system",
    ),
    "not TOML": (LIBRARY + "x = \n", "line 8", "this is not TOML"),
    "cut short": (LIBRARY + 'x = """\nmore', "line 9", "this is not TOML"),
    "nested too deeply": ("x = " + "[" * 9000, "", "nested too deeply"),
    "table twice": (LIBRARY + "[systems.library]\n", "line 8", "only once"),
    "key twice": (LIBRARY + 'lend_book = "Again."\n', "line 8", "only once"),
    "unknown table": (LIBRARY + "[sistems.a]\n", "sistems", "Did you mean 'systems'?"),
    "unknown key": (
        LIBRARY + "[systems.a]\ndescripton='A.'\ndescription='A.'\n",
        "systems.a.descripton",
        "descripton",
    ),
    "no description": (LIBRARY + "[systems.a]\n", "systems.a", "has no 'description'"),
    "empty description": (
        LIBRARY + '[systems.a]\ndescription = " "\n',
        "systems.a.description",
        "empty description",
    ),
    "empty feature": (
        LIBRARY + 'take_back = ""\n',
        ".take_back",
        "'take_back' has an empty description",
    ),
    "number": (LIBRARY + "take_back = 3\n", ".take_back", "'take_back' must be text in quotes"),
    "list": (
        LIBRARY + "[systems.a]\ndescription='A.'\nfeatures=['b']\n",
        "systems.a.features",
        "must be a table",
    ),
    "system is text": (LIBRARY.replace("[systems.library]", "[x]", 1), "x", "'x'"),
    "capital": (LIBRARY + 'Take = "T."\n', ".Take", "'Take' is not a name"),
    "dash": (LIBRARY + 'take-back = "T."\n', ".take-back", "'take-back' is not a name"),
    "digit first": (LIBRARY + '2_a = "T."\n', ".2_a", "'2_a' is not a name"),
    "newline in name": (LIBRARY + '"a\\n" = "T."\n', '."a\\n"', "is not a name"),
    "long name": (LIBRARY + f'{"a" * 65} = "T."\n', f".{'a' * 65}", "up to 64 characters"),
    "system name": (
        LIBRARY + '[systems."a b"]\ndescription = "A."\n',
        'systems."a b"',
        "'a b' is not a name",
    ),
    "said twice": (
        LIBRARY + 'get_tickets = "Again."\n',
        ".get_tickets",
        "Every system has it already",
    ),
    "after a long text": (LIBRARY + 'a = """\nA.\nB."""\nb = 3\n', ".b", "'b' must be text"),
    "in a long text": (LIBRARY + 'a_b = """\n\n\n"""\n', ".a_b", "'a_b' has an empty description"),
    "dotted": (
        "systems.a.description = 'A.'\nsystems.a.features.b = 3\n",
        "systems.a.features.b",
        "'b' must be text",
    ),
    "inline": (
        "[systems]\na = {description = 'A.', features = {b = 3}}\n",
        "systems.a.features.b",
        "'b' must be text",
    ),
    "windows": (LIBRARY.replace("\n", "\r\n") + "take_back = 3\r\n", ".take_back", "must be text"),
    "quotes in quotes": (LIBRARY + 'a = """"A" # [{\n\\"""""\n"}" = 3\n', '."}"', "'}' is not"),
    "brackets in comments": (LIBRARY + "# [ { \"\na = 'A. # ['\nb = [ # ]\n]\n", ".b", "'b' must"),
    "list of tables": (LIBRARY + "[[systems.a]]\nb = 3\n", "systems.a", "'a' must be a table"),
    "odd spaces": (LIBRARY + "a = 'A\u2028B'\nb = 3\n", ".b", "'b' must be text"),
}


@pytest.mark.parametrize(("text", "place", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_with_file_place_and_reason(text: str, place: str, says: str) -> None:
    key = f"systems.library.features{place}" if place.startswith(".") else place
    message = refusal(lambda: parse_catalogue(text, "my.toml"))
    assert message.startswith(f"my.toml, {key}: " if key else "my.toml: ")
    assert says in message


def test_a_long_strange_key_is_cut_in_the_message() -> None:
    text = LIBRARY + f'"{"x" * 50_000} y" = "A."\n'
    message = refusal(lambda: parse_catalogue(text, "my.toml"))
    assert message.startswith(f'my.toml, systems.library.features."{"x" * 100}": ')


@pytest.mark.parametrize("value", ['"""{}"""', "'''{}'''", "[{}]"], ids=["text", "raw", "list"])
def test_a_long_value_after_a_mistake_is_read_once(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    loads = tomllib.loads

    def counting(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counting)
    text = LIBRARY + "take_back = 3\nlong = " + value.format("\n" * 50_000) + "\n"
    message = refusal(lambda: parse_catalogue(text, "my.toml"))
    assert parsed == [text]
    assert message.startswith("my.toml, systems.library.features.take_back: 'take_back'")


def test_several_mistakes_are_reported_together_in_the_order_of_the_file() -> None:
    text = LIBRARY + "b = 3\nA = 'A.'\n[systems.c]\n"
    lines = refusal(lambda: parse_catalogue(text, "my.toml")).split("\n")
    assert [line.partition(": ")[0] for line in lines] == [
        "my.toml, systems.library.features.b",
        "my.toml, systems.library.features.A",
        "my.toml, systems.c",
    ]


def test_of_many_mistakes_the_first_ten_of_the_file_are_reported() -> None:
    text = "sistems = 1\n" + LIBRARY + "".join(f"a_{n} = {n}\n" for n in range(20))
    lines = refusal(lambda: parse_catalogue(text, "my.toml")).split("\n")
    assert [line.partition(": ")[0] for line in lines] == [
        "my.toml, sistems",
        *(f"my.toml, systems.library.features.a_{n}" for n in range(9)),
    ]


def test_a_file_that_is_not_utf8_is_refused_with_its_line(path: Path, clock: Monotonic) -> None:
    path.write_bytes(LIBRARY.encode() + b'caf\xe9 = "x"\n')
    assert "line 8: this is not UTF-8" in refusal(lambda: CatalogueFile(path, clock))


def test_a_byte_order_mark_is_no_mistake(path: Path, clock: Monotonic) -> None:
    path.write_text(LIBRARY, encoding="utf-8-sig")
    assert "library" in CatalogueFile(path, clock).current().systems


def test_a_missing_file_is_refused_and_names_the_setting(tmp_path: Path, clock: Monotonic) -> None:
    missing = tmp_path / "none.toml"
    message = refusal(lambda: CatalogueFile(missing, clock))
    assert str(missing) in message
    assert "TICKETBOOK_CATALOGUE" in message


def test_a_folder_or_an_endless_file_is_refused(tmp_path: Path, clock: Monotonic) -> None:
    assert "is not a file" in refusal(lambda: CatalogueFile(tmp_path, clock))
    assert "is not a file" in refusal(lambda: CatalogueFile(Path("/dev/zero"), clock))
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 1_000_001)
    assert "1,000,000 bytes" in refusal(lambda: CatalogueFile(huge, clock))


def look(file: CatalogueFile, clock: Monotonic) -> Catalogue:
    """The catalogue in force a second later."""
    clock.now += 1
    return file.current()


def test_a_change_is_in_force_at_the_second_look_that_sees_the_same_and_not_before(
    path: Path, clock: Monotonic
) -> None:
    file = CatalogueFile(path, clock)
    path.write_text(LIBRARY + 'take_back = "Take a book back."\n')
    clock.now += 0.9
    assert features(file.current(), "library") == ["lend_book", "get_tickets"]
    clock.now += 0.2
    assert features(file.current(), "library") == ["lend_book", "get_tickets"]
    clock.now += 0.9
    assert features(file.current(), "library") == ["lend_book", "get_tickets"]
    clock.now += 0.2
    assert features(file.current(), "library") == ["lend_book", "take_back", "get_tickets"]


def test_a_file_that_is_read_while_it_is_written_takes_nothing_away(
    path: Path, clock: Monotonic
) -> None:
    file = CatalogueFile(path, clock)
    good = file.current()
    for half in (LIBRARY.partition("lend_book")[0], LIBRARY.partition("get_tickets")[0], ""):
        path.write_text(half)
        assert look(file, clock) is good
    path.write_text(LIBRARY)
    for _ in range(3):
        assert look(file, clock) is good
    assert file.problem is None


def test_systems_and_features_that_are_gone_are_logged_by_name(
    path: Path, clock: Monotonic
) -> None:
    path.write_text(
        LIBRARY + '[systems.archive]\ndescription = "Old."\n[systems.archive.features]\n'
    )
    file = CatalogueFile(path, clock)
    path.write_text(LIBRARY.replace("lend_book", "sell_book"))
    with capture_logs() as logs:
        look(file, clock)
        look(file, clock)
    (lost,) = [entry for entry in logs if entry["event"] == "catalogue.lost"]
    assert (lost["gone"], lost["more"]) == (["archive", "library/lend_book"], 0)


def test_the_digest_of_a_catalogue_is_of_its_meaning() -> None:
    library = System("library", "Books.", {"a": "A.", "b": "B."})
    shop = System("shop", "Goods.", {})
    digest = Catalogue({"library": library, "shop": shop}).digest
    turned = System("library", "Books.", {"b": "B.", "a": "A."})
    assert Catalogue({"shop": shop, "library": turned}).digest == digest
    for other in (
        {"library": library},
        {"library": replace(library, description="Books"), "shop": shop},
        {"library": replace(library, features={"a": "A."}), "shop": shop},
        {"library": replace(library, features={"a": "A.", "b": "A."}), "shop": shop},
    ):
        assert Catalogue(other).digest != digest


def test_a_change_of_the_same_size_is_noticed(path: Path, clock: Monotonic) -> None:
    file = CatalogueFile(path, clock)
    path.write_text(LIBRARY.replace("lend_book", "sell_book"))
    look(file, clock)
    assert features(look(file, clock), "library") == ["sell_book", "get_tickets"]


def test_an_unchanged_file_keeps_the_very_same_catalogue(path: Path, clock: Monotonic) -> None:
    file = CatalogueFile(path, clock)
    before = file.current()
    clock.now += 5
    assert file.current() is before


def test_a_bad_change_leaves_the_last_good_catalogue_in_force_and_is_logged_once(
    path: Path, clock: Monotonic
) -> None:
    file = CatalogueFile(path, clock)
    good = file.current()
    path.write_text(LIBRARY + "take_back = 3\n")
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 1
            assert file.current() is good
    assert file.problem is not None
    assert "systems.library.features.take_back" in file.problem
    assert [entry["event"] for entry in logs] == ["catalogue.refused"]


def test_a_repaired_file_is_in_force_again(path: Path, clock: Monotonic) -> None:
    file = CatalogueFile(path, clock)
    path.unlink()
    clock.now += 1
    assert "library" in file.current().systems
    assert file.problem is not None
    path.write_text(LIBRARY)
    look(file, clock)
    assert "library" in look(file, clock).systems
    assert file.problem is None
