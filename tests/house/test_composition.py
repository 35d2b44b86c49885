"""What an open service promises as a whole."""

from itertools import count

import pytest

from api.composition import open_service
from domain.origin import Origin, milliseconds
from domain.ticket.commands import CreateTicket
from infrastructure.configuration.settings import load_settings

ORG = "52f22665a60c12d289185d95"


def test_a_process_that_only_reads_hears_of_others_even_after_a_failure_nobody_foresaw(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        {
            "TICKETBOOK_STORE": store_url,
            "TICKETBOOK_AUTH_SECRET": "a secret of 32 bytes or more, yes",
        }
    )
    with (
        open_service(settings) as writing,
        open_service(settings, run_projections=False) as reading,
    ):
        looks, head = count(), reading.log.head

        def failing_at_first() -> int:
            if next(looks) < 2:
                raise ZeroDivisionError("nobody foresaw this")
            return head()

        monkeypatch.setattr(reading.log, "head", failing_at_first)
        origin = Origin("ada", None, "run-1", None, milliseconds(writing.clock()))
        created = writing.writer.execute(
            CreateTicket(f"{1:024x}", origin, ORG, "workforce_2", "Crew", ())
        )
        for running in reading.projections.values():
            assert running.live_version.progress.wait(created.position, timeout=20)
        assert next(looks) > 2
