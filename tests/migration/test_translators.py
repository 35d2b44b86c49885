"""Records that are translated in a process of their own, as those of a large source are."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Final

import bson
import pytest

from api.composition import open_stores
from domain.ticket.commands import ImportTicket, QuarantineRecord, event_of
from infrastructure.configuration.catalogue_toml import parse_catalogue
from infrastructure.configuration.settings import BUNDLED, load_settings
from infrastructure.log.codec import encode_event
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration import translators
from infrastructure.migration.records import Translation
from infrastructure.migration.source import documents
from infrastructure.migration.translators import translating
from tests.support.command import COMMAND
from tests.support.migrating import DUMPS, migrate, migrated
from tests.support.old_system import record
from tests.support.server import environment, until
from tests.support.stories import origin

MANY: Final = 25_000
HOUSE: Final = Path(__file__).parents[2]
OF_SAMPLE: Final = Translation(
    "ticket_1", "revolution_counter_1", parse_catalogue(BUNDLED.read_text(), "catalogue.toml")
)


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
    records, by = [*documents(DUMPS / "ticket_1.bson"), b"no BSON"], origin()
    with translating(OF_SAMPLE, 1) as here, translating(OF_SAMPLE, MANY) as elsewhere:
        found = elsewhere(records, by, 7).result()
        assert found == here(records, by, 7).result()
    kinds = Counter(type(command) for command, _ in found)
    assert kinds == {ImportTicket: 1_194, QuarantineRecord: 7}
    assert all(encoded == encode_event(event_of(command)) for command, encoded in found)


def test_what_fails_in_the_process_is_told_and_the_next_is_translated() -> None:
    with translating(OF_SAMPLE, MANY) as elsewhere:
        with pytest.raises(RuntimeError, match="TypeError"):
            elsewhere([None], origin(), None).result()  # type: ignore[list-item]
        assert elsewhere([], origin(), None).result() == []


def test_a_process_that_can_not_begin_says_so_of_all_it_was_asked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(translators, "_PROGRAM", "raise SystemExit('no module')")
    with translating(OF_SAMPLE, MANY) as elsewhere:
        asked = [elsewhere([b""], origin(), None) for _ in range(3)]
        for future in asked:
            with pytest.raises(BrokenExecutor, match="exit code 1"):
                future.result()
    assert "no module" in capfd.readouterr().err


def test_the_process_runs_what_the_command_itself_runs(tmp_path: Path) -> None:
    """Also when that is no installed one: here a copy in which a reason is worded differently."""
    for name in ("domain", "infrastructure"):
        copytree(HOUSE / name, tmp_path / name)
    records = tmp_path / "infrastructure" / "migration" / "records.py"
    records.write_text(records.read_text().replace("no readable BSON", "NO READABLE BSON"))
    program = (
        "from tests.migration.test_translators import *\n"
        "with translating(OF_SAMPLE, MANY) as elsewhere:\n"
        "    ((command, _),) = elsewhere([b'no BSON'], origin(), None).result()\n"
        "    print(event_of(command).reason)"
    )
    paths = os.pathsep.join([str(tmp_path), str(HOUSE)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "it is NO READABLE BSON document" in done.stdout, done.stderr


@pytest.mark.parametrize("records", [1, MANY])
def test_what_was_not_begun_is_not_waited_for(records: int) -> None:
    much = [*documents(DUMPS / "ticket_1.bson")] * 20
    with translating(OF_SAMPLE, records) as translate:
        asked = [translate(much, origin(), None) for _ in range(3)]
        asked[0].result()
    assert not asked[2].done() or asked[2].cancelled() or asked[2].exception()


def test_when_the_translating_process_is_killed_the_command_says_how_to_go_on(
    source: str, store: str, tmp_path: Path
) -> None:
    with running(source, store, tmp_path / "said.txt") as (process, translator):
        os.kill(translator, signal.SIGKILL)
    assert process.returncode == 4
    said = (tmp_path / "said.txt").read_text()
    assert "ended (signal 9). Run the same command again" in said
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
