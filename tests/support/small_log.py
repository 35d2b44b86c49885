"""A short log to check: forty events of twenty tickets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.composition import open_service
from api.use_cases.service import Service
from infrastructure.configuration.settings import load_settings
from tests.support.stories import create, id_, rename

SECRET: Final = "long enough for a test: 0123456789abcdef"
TICKETS: Final = 20


@contextmanager
def small_log(store_url: str) -> Iterator[Service]:
    """A service over a new store that holds them, all in its audit log: at 1, 3, 5 … a ticket is
    created, and renamed by the event after it, in the same commit."""
    environment = {"TICKETBOOK_STORE": store_url, "TICKETBOOK_AUTH_SECRET": SECRET}
    with open_service(load_settings(environment)) as opened:
        for number in range(1, TICKETS + 1):
            opened.writer.execute(create(id_(number)), rename("Chief", id_(number)))
        assert opened.projections["audit"].live_version.progress.wait(2 * TICKETS, 10)
        yield opened


def silent(position: int, end: int) -> None:
    """Hears how far a check is."""
