"""What an operator does to views that are in use, and what their users see of it."""

import json
import subprocess
from time import sleep
from typing import Final

from api.composition import open_service, open_stores
from infrastructure.configuration.settings import load_settings
from projections.versions.verification import verify
from tests.bench.history import fill
from tests.support.command import start_process
from tests.support.server import environment, serving_apart, until
from tests.support.traffic import Seen, traffic

PHASE_SECONDS: Final = 1.0
"""Between one thing that an operator does and the next."""
_PATIENCE: Final = 3_600.0
"""Seconds that a rebuild may take which stands back behind traffic without pause."""


def operate(store_url: str, *arguments: str) -> "subprocess.Popen[str]":
    """An operator's command in a process of its own."""
    return start_process("projections", *arguments, **environment(store_url))


def done(operator: "subprocess.Popen[str]", seconds: float = 600) -> str:
    out, err = operator.communicate(timeout=seconds)
    assert operator.returncode == 0, err
    return out


def used_while_operated(
    store_url: str, events: int, quiet: float = PHASE_SECONDS
) -> tuple[Seen, Seen]:
    """What four writers and four readers without pause see for `quiet` seconds before, and all
    through a rebuild, a switch, a rollback and a switch."""
    with open_stores(load_settings(environment(store_url))) as stores:
        fill(stores.log, events)
    with serving_apart(store_url) as server:
        settled(store_url)
        with traffic(server.url) as clients:
            sleep(PHASE_SECONDS)
            clients.look()  # the first moments are slower
            sleep(quiet)
            before = clients.look()
            rebuilding = operate(store_url, "rebuild", "tickets", "--json")
            found = json.loads(done(rebuilding, seconds=_PATIENCE))
            assert (found["state"], found["live"]) == ("switched", [])
            assert found["position"] > events
            sleep(PHASE_SECONDS)
            done(operate(store_url, "rollback", "tickets"))
            sleep(PHASE_SECONDS)
            done(operate(store_url, "rollback", "tickets"))
            sleep(PHASE_SECONDS)
            during = clients.look()
        settled(store_url)
    check_versions(store_url)
    return before, during


def check_versions(store_url: str) -> None:
    """Version 2 of the tickets is live and version 1 kept, and both are what the log says."""
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:
        live = service.projections["tickets"]
        assert (live.versions.registry().live, live.versions.registry().kept) == (2, (1,))
        for version in (1, 2):
            found = verify(live.projected(version))
            assert (found.position, found.mismatches) == (service.log.head(), [])
        assert list(live.versions.view(1).rows()) == list(live.versions.view(2).rows())


def settled(store_url: str) -> None:
    """Wait until every view shows what the log holds."""
    with open_service(load_settings(environment(store_url)), run_projections=False) as service:

        def current() -> bool:
            head = service.log.head()
            return all(
                live.versions.view(version).checkpoint() == head
                for live in service.projections.values()
                for version in (live.versions.registry().live, *live.versions.registry().kept)
            )

        until(current, seconds=600)
