"""Filters by a name that nobody knows: an empty answer would look like a true one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.catalogue import Catalogue
from domain.spelling import nearest
from domain.ticket.events import EVENT_TYPES
from projections.audit.search import AuditFilter, AuditReader

ACTIONS: Final = tuple(event_type.TOPIC for event_type in EVENT_TYPES)

_SHOWN: Final = 64
"""Most characters of a name in a message."""


@dataclass(frozen=True, slots=True)
class DoubtfulName:
    """The value of a filter that the catalogue does not have. `nearest` are its own names."""

    parameter: str
    noun: str
    name: str
    known: Sequence[str]
    where: AuditFilter

    @property
    def detail(self) -> str:
        """A sentence, with the nearest name."""
        close = nearest(self.name, self.known)
        hint = f" Did you mean {close!r}?" if close else ""
        return (
            f"There is no {self.noun} {self.name[:_SHOWN]!r}, and there never was in what you "
            f"may see.{hint}"
        )


def doubtful_names(
    catalogue: Catalogue,
    org_id: str | None,
    *,
    system: str | None = None,
    action: str | None = None,
    **features: str | None,
) -> list[DoubtfulName]:
    """The names that the catalogue does not have: the log may have them. `features` are the
    filters by a feature, by parameter. `org_id` limits what the caller may see."""
    systems = catalogue.systems
    named = system and systems.get(system)
    offered = [named] if named else list(systems.values())
    everywhere = {feature for each in systems.values() for feature in each.features}
    doubtful: list[DoubtfulName] = []
    if system is not None and system not in systems:
        where = AuditFilter(org_id=org_id, system=system)
        doubtful.append(DoubtfulName("system", "system", system, list(systems), where))
    for parameter, feature in features.items():
        if feature is not None and feature not in everywhere:
            known = [name for each in offered for name in each.features]
            where = AuditFilter(org_id=org_id, feature=feature)
            doubtful.append(DoubtfulName(parameter, "feature", feature, known, where))
    if action is not None and action not in ACTIONS:
        where = AuditFilter(org_id=org_id, action=action)
        doubtful.append(DoubtfulName("action", "action", action, ACTIONS, where))
    return doubtful


def filtered_names(where: AuditFilter) -> dict[str, str | None]:
    """The filters by a name, as `doubtful_names` takes them."""
    return {
        "system": where.system,
        "action": where.action,
        "feature": where.feature,
        "granted": where.granted,
        "revoked": where.revoked,
    }


def unknown_names(reader: AuditReader, doubtful: Sequence[DoubtfulName]) -> list[DoubtfulName]:
    """Those that the audit log does not have either, as far as one page of it says."""
    return [each for each in doubtful if not _may_be_in_the_log(reader, each.where)]


def _may_be_in_the_log(reader: AuditReader, where: AuditFilter) -> bool:
    page = reader.page(where, beyond=None, limit=1, newest_first=True)
    return bool(page.entries) or page.beyond is not None
