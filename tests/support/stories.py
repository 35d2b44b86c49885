"""Vivid data for the tests: who acts, on which tickets, and what is asked or has happened."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from domain.catalogue import Catalogue, System
from domain.origin import Origin
from domain.ticket.commands import (
    AdjustFeatures,
    ChangeFeatures,
    CreateTicket,
    ImportTicket,
    QuarantineRecord,
    RemoveRecord,
    RenameTicket,
    RestoreTicket,
    RetireTicket,
)
from domain.ticket.events import (
    Event,
    LegacyRecordQuarantined,
    LegacyRecordRemoved,
    Recorded,
    SourceRecord,
    TicketCreated,
    TicketFeaturesChanged,
    TicketImported,
    TicketRenamed,
    TicketRestored,
    TicketRetired,
)

ACME: Final = "65da4715b8cd3a97f11ae651"
GLOBEX: Final = "672c75e7d1f9053904652509"
FOREMAN: Final = "52f22665a60c12d289185d95"
START: Final = datetime(2024, 8, 23, 3, 52, 50, 891000, tzinfo=UTC)

CATALOGUE: Final = Catalogue(
    {
        "workforce_2": System(
            "workforce_2",
            "Plans who works where.",
            {"get_all": "See it.", "create_worker": "Hire.", "delete_area": "Close an area."},
        ),
        "donear_3": System("donear_3", "Forecasts.", {"get_forecast": "Read forecasts."}),
    }
)


def catalogue() -> Catalogue:
    return CATALOGUE


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def id_(number: int) -> str:
    return f"{number:024x}"


def origin(at: int = 0, reason: str | None = None) -> Origin:
    """Ada asks, `at` minutes after the start."""
    return Origin("ada", reason, "request-1", None, minute(at))


def create(
    ticket_id: str = FOREMAN,
    *,
    org_id: str = ACME,
    system: str = "workforce_2",
    name: str = "Foreman",
    features: tuple[str, ...] = ("get_all", "create_worker"),
    at: int = 0,
) -> CreateTicket:
    return CreateTicket(ticket_id, origin(at), org_id, system, name, features)


def rename(
    name: str,
    ticket_id: str = FOREMAN,
    *,
    within: str | None = ACME,
    expected: int | None = None,
    at: int = 1,
) -> RenameTicket:
    return RenameTicket(ticket_id, origin(at), within, expected, name)


def change(
    *features: str,
    ticket_id: str = FOREMAN,
    within: str | None = ACME,
    expected: int | None = None,
    at: int = 1,
) -> ChangeFeatures:
    return ChangeFeatures(ticket_id, origin(at), within, expected, features)


def adjust(
    *,
    grant: tuple[str, ...] = (),
    revoke: tuple[str, ...] = (),
    ticket_id: str = FOREMAN,
    within: str | None = ACME,
    expected: int | None = None,
    at: int = 1,
) -> AdjustFeatures:
    return AdjustFeatures(ticket_id, origin(at), within, expected, grant, revoke)


def retire(
    ticket_id: str = FOREMAN,
    *,
    within: str | None = ACME,
    expected: int | None = None,
    at: int = 1,
) -> RetireTicket:
    return RetireTicket(ticket_id, origin(at), within, expected)


def restore(
    ticket_id: str = FOREMAN,
    *,
    within: str | None = ACME,
    expected: int | None = None,
    at: int = 1,
) -> RestoreTicket:
    return RestoreTicket(ticket_id, origin(at), within, expected)


def take_over(
    imported_event: TicketImported | None = None,
    ticket_id: str = FOREMAN,
    *,
    read_at: int | None = None,
) -> ImportTicket:
    return ImportTicket(ticket_id, imported_event or imported(), read_at)


def quarantine(ticket_id: str = FOREMAN, *, read_at: int | None = None) -> QuarantineRecord:
    return QuarantineRecord(ticket_id, quarantined(), read_at)


def remove(
    ticket_id: str = FOREMAN, *, read_at: int | None = None, system: str | None = None
) -> RemoveRecord:
    return RemoveRecord(ticket_id, removed(), read_at, system)


def created(
    name: str = "Foreman", features: tuple[str, ...] = ("get_all", "create_worker")
) -> TicketCreated:
    return TicketCreated(origin(0), ACME, "workforce_2", name, features)


def imported(
    name: str = "Foreman",
    features: tuple[str, ...] = ("get_all",),
    *,
    org_id: str = ACME,
    system: str = "workforce_2",
    updated: int = 0,
    revision: int = 7,
) -> TicketImported:
    """A record that was made at the start and last touched `updated` minutes later."""
    record = repr((name, features, org_id, system, updated, revision))
    return TicketImported(
        origin=Origin("migration", None, "run-1", None, minute(100)),
        org_id=org_id,
        system=system,
        name=name,
        features=features,
        created_at=START,
        updated_at=minute(updated),
        source=SourceRecord("ticket_1", sha256(record.encode()).hexdigest(), revision),
        repairs=("name trimmed",),
        unknown_features=("function () {}",),
    )


def renamed(name: str, at: int = 1) -> TicketRenamed:
    return TicketRenamed(origin(at), name)


def changed(
    features: tuple[str, ...],
    granted: tuple[str, ...] = (),
    revoked: tuple[str, ...] = (),
    at: int = 1,
) -> TicketFeaturesChanged:
    return TicketFeaturesChanged(origin(at), features, granted, revoked)


def retired(at: int = 1) -> TicketRetired:
    return TicketRetired(origin(at))


def restored(at: int = 1) -> TicketRestored:
    return TicketRestored(origin(at))


def quarantined() -> LegacyRecordQuarantined:
    return LegacyRecordQuarantined(
        origin=Origin("migration", None, "run-1", None, minute(100)),
        source=SourceRecord("ticket_1", "cd" * 32, 0),
        reason="it has no organisation",
        record='{"_id":{"$oid":"52f22665a60c12d289185d95"}}',
    )


def removed() -> LegacyRecordRemoved:
    return LegacyRecordRemoved(Origin("migration", None, "run-1", None, minute(100)), "ticket_1")


def stream(events: Iterable[Event], ticket_id: str = FOREMAN) -> list[Recorded]:
    """The events as one ticket's stream at positions 10, 20, 30 …"""
    return [
        Recorded(10 * version, ticket_id, version, minute(version), event)
        for version, event in enumerate(events, start=1)
    ]
