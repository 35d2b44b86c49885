"""Who may import whom, and that importing does nothing else."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
INWARDS = ("api", "infrastructure", "projections", "domain")
"""Each may import itself and those after it."""

FILES = sorted(path for name in INWARDS for path in (HOUSE / name).rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0]


def module(path: Path) -> str:
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, also within functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def strangers(name: str, allowed: set[str]) -> dict[str, list[str]]:
    """What the files of a layer import beyond `allowed`, by file."""
    found = {
        module(path): [i for i in imported(path) if i.partition(".")[0] not in allowed]
        for path in FILES
        if layer(path) == name
    }
    assert found
    return {file: names for file, names in found.items() if names}


@pytest.mark.parametrize("name", INWARDS)
def test_imports_point_inwards(name: str) -> None:
    inner = set(INWARDS[INWARDS.index(name) :])
    for path in FILES:
        if layer(path) == name:
            ours = {i.partition(".")[0] for i in imported(path)} & set(INWARDS)
            assert ours <= inner, f"{module(path)} imports outwards"


def test_the_domain_imports_nothing_but_the_standard_library() -> None:
    assert strangers("domain", {"domain", *sys.stdlib_module_names}) == {}


def test_projections_import_nothing_but_the_domain_and_the_standard_library() -> None:
    assert strangers("projections", {"projections", "domain", *sys.stdlib_module_names}) == {}


def test_nothing_imports_the_tests() -> None:
    for path in FILES:
        assert "tests" not in {i.partition(".")[0] for i in imported(path)}, module(path)


def test_use_cases_and_the_wire_know_nothing_of_http_and_of_the_command_line() -> None:
    """They serve every way in; and no way in makes ids itself, or knows what a store stores."""
    for path in FILES:
        dotted = module(path)
        names = {i.partition(".")[0] for i in imported(path)}
        if dotted.startswith(("api.use_cases", "api.wire", "api.export")):
            assert not names & {"fastapi", "starlette", "typer"}, dotted
        if layer(path) == "api":
            assert "bson" not in names, dotted


def test_only_the_composition_root_chooses_a_store() -> None:
    stores = ("infrastructure.sqlite", "infrastructure.mongodb")
    choosing = {
        module(path)
        for path in FILES
        if layer(path) == "api" and any(i.startswith(stores) for i in imported(path))
    }
    assert choosing == {"api.composition"}


ROOMS: dict[str, tuple[str | set[str], ...]] = {
    "domain": ("errors", "value", "origin", "spelling", "catalogue", "ticket", "log", "deciding"),
    "projections": ("running", "tickets", "audit", "versions"),
    "infrastructure": (
        "terminal",
        "json_text",
        "ids",
        "clock",
        "machine",
        "old_records",
        "logging",
        "configuration",
        "log",
        "journal",
        "jobs",
        "legacy_usage",
        "stores",
        {"mongodb", "sqlite"},
        "keys",
        "legacy_access",
        "migration",
    ),
    "api": ("wire", "export", "use_cases", "composition", "legacy", "http", "cli"),
}
"""The rooms of each layer, a folder or a module each, from the bottom up. A room may import itself
and the rooms below it. Rooms on one floor know nothing of each other: MongoDB and SQLite are twins.
"""

FLOORS: dict[tuple[str, str], int] = {
    (name, each): number
    for name, rooms in ROOMS.items()
    for number, floor in enumerate(rooms)
    for each in (floor if isinstance(floor, set) else {floor})
}


def room(dotted: str) -> tuple[str, str]:
    """The layer and the room that a module is in; the room is empty for a layer's `__init__`."""
    name, _, rest = dotted.partition(".")
    return name, rest.partition(".")[0]


def imported_names(path: Path) -> Iterator[str]:
    """Like `imported`, with the imported name behind the module: it may be a module itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_import_only_rooms_below_them(name: str) -> None:
    upwards = [
        f"{module(path)} imports {dotted}"
        for path in FILES
        if layer(path) == name
        for dotted in imported_names(path)
        if room(dotted)[0] == name
        and room(dotted) != room(module(path))
        and FLOORS[room(dotted)] >= FLOORS[room(module(path))]
    ]
    assert upwards == []


@pytest.mark.parametrize("name", ROOMS)
def test_the_table_names_every_room_and_no_other(name: str) -> None:
    rooms = {room(module(path))[1] for path in FILES if layer(path) == name} - {""}
    assert rooms == {each for of, each in FLOORS if of == name}


FOLDERS = sorted({path.parent for path in FILES})


def test_every_folder_holds_several_modules_or_folders() -> None:
    for folder in FOLDERS:
        inside = [p for p in FILES if p.parent == folder and p.name != "__init__.py"]
        folders = [f for f in FOLDERS if f.parent == folder]
        assert len(inside) + len(folders) > 1, f"{folder.relative_to(HOUSE)} holds one thing"


def test_every_folder_says_in_one_line_what_lives_there() -> None:
    for folder in FOLDERS:
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert docstring, f"{folder.relative_to(HOUSE)} does not say what lives there"
        assert docstring.partition("\n")[0].endswith("."), folder.relative_to(HOUSE)


def test_the_environment_is_read_in_one_module() -> None:
    reading = {
        module(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (isinstance(node, ast.alias) and node.name in ("environ", "getenv", "environb"))
    }
    assert reading == {"infrastructure.configuration.settings"}


WATCHED = """
import importlib, sys, threading

house, *ours = sys.argv[1:]
folders = tuple(f"{house}/{name}/" for name in ("domain", "projections", "infrastructure", "api"))
events = []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writing = any(letter in (mode or "r") for letter in "wax+") or flags & 0o3
        ours_to_read = str(path).startswith(folders) and str(path).endswith((".toml", ".json"))
        if writing or ours_to_read:
            events.append((event, str(path)))
    elif event.startswith(("socket.", "sqlite3.", "subprocess.", "os.mkdir", "os.exec", "os.fork")):
        if event != "socket.__new__":
            events.append((event, repr(arguments)))

sys.dont_write_bytecode = True
sys.addaudithook(watch)
before = set(threading.enumerate())
for name in ours:
    importlib.import_module(name)
    if events or set(threading.enumerate()) != before:
        sys.exit(f"importing {name}: {events} {threading.enumerate()}")
"""


def test_importing_any_module_opens_nothing_writes_nothing_and_starts_nothing(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(HOUSE), *map(module, FILES)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(HOUSE), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_test_module_is_imported() -> None:
    """Helpers of tests stand in `tests/support`."""
    found = {
        module(path): [name for name in imported(path) if re.fullmatch(r"tests\..*test_\w+", name)]
        for path in (HOUSE / "tests").rglob("*.py")
    }
    assert found
    assert {file: names for file, names in found.items() if names} == {}
