"""What must be true of tickets that are taken over from an old system at work."""

import json
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pymongo.database import Database

from api.composition import open_service, open_stores
from domain.ticket.events import (
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    TicketImported,
)
from domain.ticket.state import fold
from infrastructure.configuration.settings import load_settings
from infrastructure.log.ticket_log import TicketLog
from infrastructure.migration.imported_events import every_event
from infrastructure.migration.proofs import Backup, Proofs, Verified
from infrastructure.migration.records import stream_id
from infrastructure.migration.restoring import digest_of, raw, shape_of
from infrastructure.mongodb.client import Document
from tests.support.command import COMMAND, clean_environment
from tests.support.command import run as run_anywhere
from tests.support.old_system import RAW, content
from tests.support.server import SECRET, environment

_PATIENCE: Final = 120.0
"""Seconds in which following must end once it is interrupted."""


def run(*arguments: str, store: str) -> tuple[int, str, str]:
    return run_anywhere(*arguments, store=store, TICKETBOOK_AUTH_SECRET=SECRET)


def follow(source: str, store_url: str) -> dict[str, int]:
    """Follow until there is nothing left to take over; how many records became what."""
    code, out, err = run(
        *("migrate", "follow", "--source", source, "--until-idle", "--json"), store=store_url
    )
    assert code == 0, err
    taken: dict[str, int] = json.loads(out)
    return taken


def histories(store_url: str) -> dict[str, list[Recorded]]:
    with open_stores(load_settings(environment(store_url))) as stores:
        found = defaultdict[str, list[Recorded]](list)
        for recorded in every_event(TicketLog(stores.log)):
            found[recorded.ticket_id].append(recorded)
    return found


def check_equal(old: Database[Document], store_url: str) -> None:
    """Each record is a ticket of the same content or in quarantine, and nothing else is in use."""
    found = histories(store_url)
    records = {stream_id(record["_id"]): record for record in old["ticket_1"].find()}
    for name, record in records.items():
        last = found[name][-1].event
        if isinstance(last, LegacyRecordQuarantined):
            assert "by hand" in name or "name" not in record or record["features"] == "get_all"
            continue
        assert isinstance(last, TicketImported)
        features = [*last.features, *last.unknown_features]
        assert (last.name, last.org_id) == (record["name"], str(record["orgId"]))
        assert features == list(dict.fromkeys(record["features"]))
        assert last.updated_at == record.get("updatedAt", last.updated_at)
    for name in found.keys() - records.keys():
        ticket = fold(found[name])
        assert ticket is None or ticket.retired
        assert isinstance(found[name][-1].event, LegacyRecordRemoved)


def check_once(store_url: str) -> None:
    """Nothing was taken in twice: what follows a record in a stream is always something else."""
    for history in histories(store_url).values():
        taken = [
            recorded.event.source.digest
            if isinstance(recorded.event, TicketImported | LegacyRecordQuarantined)
            else "gone"
            for recorded in history
        ]
        assert all(one != other for one, other in pairwise(taken))


@contextmanager
def following(source: str, store_url: str, said: Path) -> Iterator[None]:
    """Follow in another process until the block ends; Ctrl-C must end it well."""
    with (
        said.open("w") as heard,
        subprocess.Popen(
            [COMMAND, "migrate", "follow", "--source", source],
            env=clean_environment(None, environment(store_url)),
            stderr=heard,
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(_PATIENCE)
    assert code == 130
    assert "run the same command again" in said.read_text()


def prove(old: Database[Document], source: str, store_url: str, folder: Path) -> None:
    """Note a backup, and that its content was verified."""
    records = old["ticket_1"].with_options(codec_options=RAW)
    folder.mkdir(exist_ok=True)
    (folder / "ticket_1.bson").write_bytes(content(old))
    found = digest_of(raw(records))
    address = urlsplit(source)
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        proofs = Proofs(service.notes, f"{address.netloc}{address.path}", "ticket_1")
        proofs.backed_up(Backup(str(folder), found, shape_of(records), "2026-11-24"))
        proofs.was_verified(Verified(found, service.log.head(), "2026-11-24"))
