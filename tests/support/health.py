"""What a service tells of itself, and projections that fail."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import composition
from domain.ticket.events import Recorded
from domain.ticket.state import Ticket
from projections.audit.projection import AUDIT, AuditEntry
from projections.tickets.projection import TICKETS

Project = Callable[[Ticket | None, Recorded], Ticket | None]


def project_with(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """Services opened from now on project tickets like this."""
    monkeypatch.setattr(composition, "TICKETS", replace(TICKETS, project=project))


def readiness(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/readyz")
    told: dict[str, Any] = answer.json()
    assert answer.status_code == (503 if told["status"] == "unready" else 200)
    return told


def ready(client: httpx.Client) -> bool:
    return bool(readiness(client)["status"] == "ready")


def unready(client: httpx.Client) -> bool:
    return bool(readiness(client)["status"] == "unready")


def metrics(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Sample name and label values, to value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services opened from now on cannot project a ticket called poison."""

    def project(ticket: Ticket | None, recorded: Recorded) -> Ticket | None:
        found = TICKETS.project(ticket, recorded)
        if found and found.name == "poison":
            raise ValueError("I cannot read this")
        return found

    def entry_of(entry: AuditEntry | None, recorded: Recorded) -> AuditEntry:
        found = AUDIT.project(entry, recorded)
        assert found
        if found.after and found.after.name == "poison":
            raise ValueError("I cannot read this")
        return found

    project_with(monkeypatch, project)
    monkeypatch.setattr(composition, "AUDIT", replace(AUDIT, project=entry_of))
