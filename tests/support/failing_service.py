"""A service on a store that fails, its callers, and the operators' commands beside it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Any, Final
from unittest.mock import patch

import httpx

from api import composition
from api.cli import waiting
from api.cli.output import Exit
from api.use_cases import freshness, jobs
from projections.running import runner
from projections.versions import control, rebuild
from tests.support.command import run
from tests.support.driver_failures import Failure
from tests.support.failing_store import Armed, FailingStore, failing
from tests.support.health import readiness
from tests.support.rebuilds import House
from tests.support.server import Client, Served, environment, serving, until
from tests.support.stories import ACME, create, id_
from tests.support.view_rows import open_store

PROBLEM: Final = "application/problem+json"

INTERVAL: Final = 0.3
"""Seconds of a lease here; two of them may pass until health knows."""

_TICKETS: Final = 200
"""Tickets of before, used in turn: the writer remembers none of them."""


class FailingService:
    """What is asked of the service while its store fails, and what is wrong about the answers.

    `acknowledged` are the tickets that were stored, by id, with their version and position.
    """

    def __init__(self, store: FailingStore, served: Served) -> None:
        self.store, self.served = store, served
        self.name = "sqlite" if store.url.startswith("sqlite:") else "mongodb"
        self.client: Client = served.client(ACME)
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.faults: list[str] = []
        self._versions = dict.fromkeys(map(id_, range(1, _TICKETS + 1)), 1)
        """The versions of the tickets of before, those last that were used last."""
        self._keys = count(1)

    @contextmanager
    def failure(self, method: str, failure: Failure) -> Iterator[Armed]:
        """The store fails in the block; afterwards the service is ready again."""
        self.faults.clear()
        with self.store.failure(method, failure) as armed:
            yield armed
        self.store.a_minute_passes()
        until(lambda: self._retried() and self._status() == "ready")
        until(self.jobs_have_ended)

    def _retried(self) -> bool:
        """Retry what was parked for want of a store, as an operator does; whether any is left."""
        left = False
        for name, projection in self.served.service.projections.items():
            for ticket_id in projection.view.parked():
                self.client.post(f"/v1/projections/{name}/parked/{ticket_id}/retry")
                left = True
        return not left

    def is_unready(self) -> bool:
        return self._status() == "unready"

    def _status(self) -> str:
        status: str = readiness(self.client)["status"]
        return status

    def create(self) -> None:
        key = {"Idempotency-Key": f"key-{next(self._keys)}"}
        answer = self.client.create(headers=key)
        if self._checked("POST /v1/tickets", answer, 201):
            self._acknowledge(answer)

    def rename(self) -> None:
        """A ticket of before, which the writer must read first."""
        ticket_id = next(iter(self._versions))
        version = self._versions.pop(ticket_id)
        answer = self.client.patch(
            f"/v1/tickets/{ticket_id}",
            json={"name": f"Name {version}"},
            headers={"If-Match": f'"{version}"'},
        )
        if self._checked("PATCH", answer, 200):  # else it may be stored, and is not used again
            self._acknowledge(answer)
            self._versions[ticket_id] = version + 1

    def _acknowledge(self, answer: httpx.Response) -> None:
        ticket = answer.json()
        version, position = int(answer.headers["ETag"].strip('"')), answer.headers["Event-Position"]
        self.acknowledged[ticket["_id"]] = version, int(position)

    def read_back(self, last: int = 1) -> None:
        """The tickets that were acknowledged last: not older than they were then."""
        for ticket_id, (version, position) in list(self.acknowledged.items())[-last:]:
            headers = {"Min-Event-Position": str(position)}
            answer = self.client.get(f"/v1/tickets/{ticket_id}", headers=headers)
            if self._checked("GET with Min-Event-Position", answer, 200):
                shown = int(answer.headers["ETag"].strip('"'))
                if shown < version:
                    self.faults.append(f"{ticket_id} is shown at version {shown}, not {version}")

    def nothing_is_lost(self) -> None:
        """Every acknowledged change is there, once the store does not fail any more."""
        for ticket_id, (version, position) in self.acknowledged.items():
            until(partial(self._shows, ticket_id, version, position))
        self.acknowledged.clear()

    def _shows(self, ticket_id: str, version: int, position: int) -> bool:
        headers = {"Min-Event-Position": str(position)}
        answer = self.client.get(f"/v1/tickets/{ticket_id}", headers=headers)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:  # the view is not there yet
            return False
        assert int(answer.headers["ETag"].strip('"')) >= version
        return True

    def jobs_have_ended(self) -> bool:
        return all(job.state != "running" for job in self.served.service.jobs.latest(None, 9))

    def get(self, path: str) -> None:
        self._checked(f"GET {path}", self.client.get(path), 200)

    def post(self, path: str, body: Any = None) -> None:
        answer = self.client.post(path, json=body)
        self._checked(f"POST {path}", answer, 200, 202, 404, 409)

    def health(self) -> None:
        for path, fine in (("/healthz", (200,)), ("/readyz", (200, 503)), ("/metrics", (200,))):
            answer = self.client.get(path)
            if answer.status_code not in fine:
                self.faults.append(f"GET {path}: {answer.status_code} {answer.text[:200]}")

    def _checked(self, what: str, answer: httpx.Response, *fine: int) -> bool:
        """Whether it was answered. A refusal must be a problem document, and no failure of the
        service's own."""
        if answer.status_code in fine:
            return True
        named = answer.headers["Content-Type"] == PROBLEM
        if answer.status_code != 503 or not named:
            self.faults.append(f"{what}: {answer.status_code} {answer.text[:300]}")
        return False

    def command(self, *arguments: str, finds: bool = False) -> None:
        """An operator's command. It may only end with 1 if it `finds` what is wrong."""
        code, _, err = run(*arguments, **environment(self.store.url))
        fine = {Exit.OK, Exit.CONFIGURATION, Exit.STORE, Exit.TAKEN_OVER, Exit.USAGE}
        behind = code == Exit.DIFFERENT and "not yet at" in err
        if code not in fine and not (finds and code == Exit.DIFFERENT) and not behind:
            self.faults.append(f"{' '.join(arguments)}: exit code {code}: {err[-300:]}")
        if "Traceback" in err:
            self.faults.append(f"{' '.join(arguments)}: {err[-600:]}")


@contextmanager
def failing_service(store_url: str) -> Iterator[FailingService]:
    """Serve on a store with a past, in this process, with short intervals and no waiting."""
    with ExitStack() as stack:
        store = stack.enter_context(failing(store_url))
        with open_store(store_url) as opened:
            house = House(opened)
            house.writer.execute(*(create(id_(number)) for number in range(1, _TICKETS + 1)))
            house.writer.close()
        for place, name, value in (
            (jobs, "LEASE_SECONDS", INTERVAL),
            (jobs, "_HEARTBEAT", INTERVAL / 3),
            (runner, "LEASE_SECONDS", INTERVAL),
            (runner, "HEARTBEAT", INTERVAL / 3),
            (freshness, "WAIT_SECONDS", 0.1),
            (waiting, "_WAIT_SECONDS", 0.1),
            (composition, "REMEMBERED", 1),
            (control, "DROP_AFTER", 0.0),
            (rebuild, "HAND_OVER", 0.0),
        ):
            stack.enter_context(patch.object(place, name, value))
        served = stack.enter_context(serving(store.url))
        service = FailingService(store, served)
        until(lambda: service._status() == "ready")
        service.post("/v1/projections/tickets/verify")
        until(service.jobs_have_ended)
        yield service
