"""Opening the service for an operator's command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from api.cli.output import log_for_people, reporting
from api.composition import History, open_history, open_service
from api.use_cases.service import Service
from domain.catalogue import Catalogue
from domain.errors import ConfigurationError
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.settings import Settings, load_settings


@contextmanager
def open_for_command(
    *, make: bool = False, watch: bool = False, run: bool = False
) -> Iterator[Service]:
    """The configured service, running nothing in the background but, with `run`, the views that no
    other process keeps current. A missing store is an
    error, unless the command may make it: a slip is likelier than an empty store. A command that
    waits for views which other processes keep current must `watch` them."""
    log_for_people()
    with reporting():
        settings = load_settings()
        if not make:
            with open_history(settings) as history:
                _there(history, settings)
        with open_service(settings, run_projections=run, watch=watch, callers=False) as service:
            yield service


@contextmanager
def read_only_if_any() -> Iterator[tuple[History | None, Catalogue]]:
    """The configured store and catalogue. Nothing is made, and nothing is written anywhere: there
    may be no store yet."""
    log_for_people()
    with reporting():
        settings = load_settings()
        catalogue = CatalogueFile(settings.catalogue, time.monotonic).current()
        with open_history(settings) as history:
            yield history, catalogue


@contextmanager
def read_only() -> Iterator[History]:
    """The configured store, which must be there. Nothing is made, and nothing is written."""
    log_for_people()
    with reporting():
        settings = load_settings()
        with open_history(settings) as history:
            yield _there(history, settings)


def _there(history: History | None, settings: Settings) -> History:
    if history:
        return history
    store = settings.store
    where = f"at {store.path}" if isinstance(store, SQLiteStore) else f"in {store.database}"
    raise ConfigurationError(
        f"There is no store {where}. Name yours in TICKETBOOK_STORE, "
        "or start ticketbook serve first: it makes one."
    )
