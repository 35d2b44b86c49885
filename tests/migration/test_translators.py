"""Records that are translated in a process of their own, as those of a large source are."""

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import BrokenExecutor
from pathlib import Path
from shutil import copytree
from threading import Event
from typing import Any, Final

import pytest

from api.composition import open_stores
from domain.ticket.commands import ImportTicket, QuarantineRecord, event_of
from infrastructure.configuration.catalogue_toml import parse_catalogue
from infrastructure.configuration.settings import BUNDLED, load_settings
from infrastructure.log.codec import encode_event
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration import importer, translators
from infrastructure.migration.records import Translation
from infrastructure.migration.source import documents
from infrastructure.migration.translators import Translated, translating
from tests.support.half_way import BATCH, half_way
from tests.support.migrating import DUMPS, migrate, migrated
from tests.support.server import environment, until
from tests.support.stories import origin

MANY: Final = 25_000
"""So many records are translated in a process."""

SAMPLE: Final = 1_200
HOUSE: Final = Path(__file__).parents[2]
OF_SAMPLE: Final = Translation(
    "ticket_1", "revolution_counter_1", parse_catalogue(BUNDLED.read_text(), "catalogue.toml")
)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


def children(process: int, program: str) -> list[int]:
    """The processes that it started and that run this program."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [child for child in map(int, listed.split()) if program in command_line(child)]


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:  # it has ended
        return ""


def is_alive(process: int) -> bool:
    """A process that nobody has waited for yet has no command line."""
    return command_line(process) != ""


def check_once(store: str) -> None:
    """Going on takes over what is left, and each record has been taken over once."""
    done = migrated("run", "--source", str(DUMPS), "--no-backup", store=store)
    assert 0 < done["already"] < SAMPLE
    with open_stores(load_settings(environment(store))) as stores:
        events = TicketLog(stores.log).read(0, 2 * SAMPLE)
    assert len(events) == SAMPLE and len({event.ticket_id for event in events}) == SAMPLE
    code, out, _ = migrate("verify", "--source", str(DUMPS), store=store)
    assert (code, '"explained":null' in out) == (0, False)


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


def test_what_was_not_begun_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a thread: of three, the second is at work until the third is given up."""
    begun, given_up = Event(), Event()
    translate_at_once = translators._translate

    def translate_slowly(*wanted: Any) -> Translated:
        begun.set()
        assert given_up.wait(60)
        return translate_at_once(*wanted)

    with translating(OF_SAMPLE, 1) as translate:
        translate([b""], origin(), None).result()
        monkeypatch.setattr(translators, "_translate", translate_slowly)
        second, third = (translate([b""], origin(), None) for _ in range(2))
        assert begun.wait(60)
        third.add_done_callback(lambda _: given_up.set())
    assert second.done() and third.cancelled()


def test_what_a_process_has_not_translated_is_not_waited_for() -> None:
    with translating(OF_SAMPLE, MANY) as translate:
        translate([b""], origin(), None).result()
        (translator,) = children(os.getpid(), "translate_until_closed")
        os.kill(translator, signal.SIGSTOP)
        never = translate([b""], origin(), None)
    assert isinstance(never.exception(), BrokenExecutor)
    assert not is_alive(translator)


def test_when_the_translating_process_is_killed_the_command_says_how_to_go_on(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_BATCH_RECORDS", BATCH)
    monkeypatch.setattr(translators, "_MANY", 1)
    submit, batches = translators._Process.submit, 0

    def submit_and_kill(self: translators._Process, wanted: tuple[Any, ...]) -> Any:
        nonlocal batches
        batches += 1
        if batches == 8:
            self._process.kill()
            self._process.wait()
        return submit(self, wanted)

    monkeypatch.setattr(translators._Process, "submit", submit_and_kill)
    code, _, err = migrate("run", "--source", str(DUMPS), "--no-backup", store=store)
    assert code == 4
    assert "ended (signal 9). Run the same command again" in err
    monkeypatch.undo()
    check_once(store)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_translating_process_ends_with_the_command(store: str, how: signal.Signals) -> None:
    with half_way("migrate", "run", "--source", str(DUMPS), "--no-backup", store=store) as process:
        (translator,) = children(process.pid, "translate_until_closed")
        process.send_signal(how)
        assert process.stderr
        err = process.stderr.read()
    until(lambda: not is_alive(translator))
    assert "Traceback" not in err
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Nothing is lost" in err
    check_once(store)
