"""A collection `tickets` that stood in the store's database before the service first came there.

Its documents become tickets, and it is kept under another name: the service shows its own view of
the tickets in its place.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from domain.errors import SourceUnusable
from infrastructure.migration.reading import reading
from infrastructure.migration.restoring import Records, rehearse_rename
from infrastructure.migration.source import DatabaseSource

GENERAL: Final = "tickets"
"""The collection of the general model, whose documents each name their system."""

_KEPT: Final = f"{GENERAL}_adopted_"


@dataclass(frozen=True, slots=True)
class Adoption:
    """The state of the database: `waiting` is a collection of others that is not yet adopted,
    `kept` is one that was, `view` is whether the service shows its tickets already."""

    waiting: Records | None
    kept: Records | None
    view: bool

    def set_aside(self, now: datetime) -> Records:
        """Give the waiting collection its other name: from now on nobody writes to it."""
        assert self.waiting is not None
        database, name = self.waiting.database, f"{_KEPT}{now:%Y%m%dT%H%M%S}"
        with reading(self.waiting.full_name):
            self.waiting.rename(name)
        return database[name]

    def undo(self) -> None:
        """Give the kept collection its name back, in the place of the view."""
        assert self.kept is not None
        rehearse_rename(self.kept.database[GENERAL])
        with reading(self.kept.full_name):
            if self.view:
                self.kept.database[GENERAL].drop()
            self.kept.rename(GENERAL)


def adoption_of(source: DatabaseSource) -> Adoption:
    """Raises `SourceUnusable` when more than one collection could be the one to adopt."""
    database = source.database
    with reading(source.name):
        kinds: dict[str, Any] = {
            collection["name"]: collection["type"] for collection in database.list_collections()
        }
        view = kinds.get(GENERAL) == "view"
        holds = GENERAL in kinds and not view and database[GENERAL].find_one() is not None
    set_aside = sorted(name for name in kinds if name.startswith(_KEPT))
    if len(set_aside) > 1 or (set_aside and holds):
        raise SourceUnusable(
            f"Of {', '.join([GENERAL] * holds + set_aside)} only one may be there: something wrote "
            f"to {GENERAL} while it was adopted. Stop it, bring all documents into the one to "
            "keep, drop the others, and start again."
        )
    return Adoption(
        database[GENERAL] if holds else None, database[set_aside[0]] if set_aside else None, view
    )
