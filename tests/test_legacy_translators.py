"""Records that are translated in a process of their own, as those of a large source are."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import bson
import pytest

from api.composition import open_stores
from infrastructure.legacy.records import Translation
from infrastructure.legacy.source import documents
from infrastructure.legacy.translators import translating
from infrastructure.settings import load_settings
from infrastructure.ticket_log import TicketLog
from tests.migrating import DUMPS, migrate, migrated
from tests.old_system import record
from tests.server import environment, until
from tests.stories import CATALOGUE, origin
from tests.test_command_line import COMMAND

MANY: Final = 25_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dump of so many records that a process translates them; the first 1,200 are the sample,
    with all kinds of dirt."""
    folder, random = tmp_path_factory.mktemp("large"), Random(1)
    more = [bson.encode(record(random)) for _ in range(MANY - 1_200)]
    (folder / "ticket_1.bson").write_bytes((DUMPS / "ticket_1.bson").read_bytes() + b"".join(more))
    return str(folder)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@contextmanager
def running(source: str, store: str, said: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run that is half way, and the process that translates for it."""
    with said.open("w") as heard:
        process = subprocess.Popen(
            [COMMAND, "migrate", "run", "--source", source, "--no-backup"],
            env=os.environ | environment(store),
            stderr=heard,
        )
    until(lambda: 0 < head(store) < MANY)
    (translator,) = children(process.pid)
    yield process, translator
    process.wait(30)


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in listed.split()]


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}/cmdline").exists()


def head(store: str) -> int:
    if not Path(store.removeprefix("sqlite:///")).exists():
        return 0
    with open_stores(load_settings(environment(store))) as stores:
        return stores.log.head()


def check_once(source: str, store: str) -> None:
    """Going on takes over what is left, and each record has been taken over once."""
    migrated("run", "--source", source, "--no-backup", store=store)
    with open_stores(load_settings(environment(store))) as stores:
        events = TicketLog(stores.log).read(0, 2 * MANY)
    assert len(events) == MANY and len({one.ticket_id for one in events}) == MANY
    code, out, _ = migrate("verify", "--source", source, store=store)
    assert (code, out) == (0, "")


def test_a_process_translates_as_the_command_itself_does() -> None:
    translation = Translation("ticket_1", "revolution_counter_1", CATALOGUE)
    records, by = [*documents(DUMPS / "ticket_1.bson"), b"no BSON"], origin()
    with (
        translating(translation, len(records)) as here,
        translating(translation, 1_000_000) as elsewhere,
    ):
        assert elsewhere(records, by, 7).result() == here(records, by, 7).result()
        with pytest.raises(TypeError):
            elsewhere([None], by, None).result()  # type: ignore[list-item]
        assert elsewhere([], by, None).result() == []


def test_when_the_translating_process_is_killed_the_command_says_how_to_go_on(
    source: str, store: str, tmp_path: Path
) -> None:
    with running(source, store, tmp_path / "said.txt") as (process, translator):
        os.kill(translator, signal.SIGKILL)
    assert process.returncode == 4
    assert "Run the same command again" in (tmp_path / "said.txt").read_text()
    check_once(source, store)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_translating_process_ends_with_the_command(
    source: str, store: str, tmp_path: Path, how: signal.Signals
) -> None:
    with running(source, store, tmp_path / "said.txt") as (process, translator):
        process.send_signal(how)
    until(lambda: not is_alive(translator))
    said = (tmp_path / "said.txt").read_text()
    assert "Traceback" not in said
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Nothing is lost" in said
    check_once(source, store)
