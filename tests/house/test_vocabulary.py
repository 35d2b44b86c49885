"""One vocabulary for the command line, HTTP and JSON: docs/vocabulary.md has every name that both
ways in take, and the same thing has the same name in both."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import bson
import httpx
import pytest
import typer

from api.cli.main import app
from api.cli.output import counted
from api.composition import open_service
from infrastructure.configuration.settings import load_settings
from tests.support.command import run
from tests.support.old_records import CLEAN
from tests.support.server import serving
from tests.support.stories import create, id_

PAGE: Final = (Path(__file__).parents[2] / "docs/vocabulary.md").read_text()
ROWS: Final = [
    [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ")
]
OF_ONE_COMMAND: Final = {
    *("--check", "--hours", "--scope", "--sub"),  # token
    *("--access-log", "--host", "--json-logs", "--port"),  # serve
    *("--export", "--head", "--key", "--view", "--no-view", "--oldest-first"),  # audit
    *("--gone", "--no-backup", "--source", "--to", "--until-idle"),  # migrate
    *("--columns", "--csv", "--dismissed", "--repairs", "--yes-remove", "--yes-replace"),
}
"""Options that have nothing beside them over HTTP."""

CAMEL: Final = re.compile("_id|[a-z][A-Za-z0-9]*")
DATA: Final = {
    "repairs",
    "reasons",
    "unknownFeatures",
    "references",
    "details",
    "features",
    "dumps",
}
"""Fields whose inner names are data: features, reasons, stored details."""


def options() -> Iterator[str]:
    def commands(command: Any) -> Iterator[Any]:
        if not hasattr(command, "list_commands"):
            yield command
            return
        for name in command.list_commands(None):
            yield from commands(command.get_command(None, name))

    for command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            yield from parameter.opts if parameter.param_type_name == "option" else ()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(f"sqlite:///{tmp_path_factory.mktemp('served')}/store.db") as running:
        return httpx.get(f"{running.url}/openapi.json").json()


def queries(document: Any) -> set[str]:
    return {
        parameter["name"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }


def kebab(name: str) -> str:
    return "--" + re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)


def test_every_option_of_several_commands_is_in_the_table() -> None:
    named = {name for row in ROWS for name in row[0]}
    assert sorted(set(options()) - named - OF_ONE_COMMAND) == []
    written = {name for name in named if name.startswith("--")}
    assert sorted(written - set(options())) == []


def test_every_query_parameter_is_in_the_table(document: Any) -> None:
    named = {name for row in ROWS if len(row) == 3 for name in row[1]}
    assert sorted(queries(document) - named) == []


def test_the_same_thing_has_the_same_name_in_both(document: Any) -> None:
    for row in ROWS:
        offered = [name for name in row[0] if name.startswith("--")]
        asked = [name for name in (row[1] if len(row) == 3 else ()) if name in queries(document)]
        known = {*offered, "--all"} if asked == ["cursor"] else set(offered)
        if offered and asked != ["cursor"]:
            assert {kebab(name) for name in asked} <= known, row
    for name in queries(document):
        if kebab(name) in set(options()) - OF_ONE_COMMAND:
            assert any(kebab(name) in row[0] and name in row[1] for row in ROWS), name


def test_every_field_over_http_is_in_camel_case(document: Any) -> None:
    fields = {
        name
        for schema in document["components"]["schemas"].values()
        for name in schema.get("properties", ())
    }
    assert len(fields) > 50
    assert [name for name in sorted(fields) if not CAMEL.fullmatch(name)] == []


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("store")
    address = f"sqlite:///{folder}/store.db"
    with open_service(load_settings({"TICKETBOOK_STORE": address})) as service:
        service.writer.execute(create(id_(1)))
        for view in service.projections.values():
            assert view.live_version.progress.wait(1, timeout=10)
    return address


@pytest.mark.parametrize(
    "command",
    [
        "tickets list",
        f"tickets show {id_(1)}",
        f"tickets retire {id_(1)} --dry-run",
        "token --check nonsense",
        "projections status",
        "projections verify",
        "projections rebuild tickets --dry-run",
        "projections parked list",
        "audit search",
        "audit reads",
        "audit at 1",
        "audit grants get_all today",
        "audit diff 0",
        "audit head",
        "audit verify",
        "migrate plan --source OLD",
        "migrate backup --source OLD --to OLD/backup",
        "migrate run --source OLD --no-backup",
        "migrate status --source OLD",
        "migrate report",
        "migrate verify --source OLD",
        "migrate quarantine list",
        "migrate quarantine retry",
        "catalogue show",
        "legacy usage",
    ],
)
def test_every_command_prints_json_in_camel_case(store: str, tmp_path: Path, command: str) -> None:
    (tmp_path / "ticket_1.bson").write_bytes(bson.encode(CLEAN))
    (tmp_path / "users.bson").write_bytes(b"")
    words = [word.replace("OLD", str(tmp_path)) for word in command.split()]
    code, out, err = run(*words, "--json", store=store)
    assert code in (0, 1), err
    texts = out.splitlines() if words[:2] == ["migrate", "verify"] else [out]
    bodies = [json.loads(text) for text in texts]
    wrong = {name for body in bodies for name in names(body) if not CAMEL.fullmatch(name)}
    assert wrong == set()


def names(body: Any) -> Iterator[str]:
    match body:
        case list():
            for item in body:
                yield from names(item)
        case dict():
            for name, value in body.items():
                yield name
                if name not in DATA:
                    yield from names(value)


def test_numbers_and_nouns_agree(store: str) -> None:
    assert [counted(n, "difference") for n in (0, 1, 2)] == [
        "0 differences",
        "1 difference",
        "2 differences",
    ]
    assert counted(1_204, "audit entry") == "1,204 audit entries"
    assert "tickets: 1 row compared" in run("projections", "verify", store=store)[2]
