"""The catalogue: the systems, and the features of each."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from domain.errors import Fault, UnknownFeature, UnknownSystem
from domain.spelling import nearest

_LISTED: Final = 20
"""Most unknown features in one refusal: a refusal is stored under its idempotency key."""

_SUGGESTED: Final = 3
"""Most of them that get a suggestion: the one writer of a process looks for it."""


@dataclass(frozen=True, slots=True)
class System:
    """A system. `features` maps each feature name to its description, in the catalogue's order."""

    name: str
    description: str
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every system, by its name. `digest` is the SHA-256 (hex) of its meaning: neither an order nor
    the bytes of a file are part of it."""

    systems: Mapping[str, System]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        meaning = {name: [s.description, dict(s.features)] for name, s in self.systems.items()}
        text = json.dumps(meaning, sort_keys=True)
        object.__setattr__(self, "digest", sha256(text.encode()).hexdigest())

    def system(self, name: str) -> System:
        """The system called `name`; raises `UnknownSystem` with the nearest valid spelling."""
        system = self.systems.get(name)
        if system is None:
            detail = f"There is no system {_short(name)}.{_nearest(name, self.systems)}"
            raise UnknownSystem(detail, (Fault("/system", UnknownSystem.code, detail),))
        return system

    def lost(self, later: "Catalogue") -> Sequence[str]:
        """The systems that a later catalogue lacks, and of the others each `system/feature`."""
        systems = [name for name in self.systems if name not in later.systems]
        features = [
            f"{name}/{feature}"
            for name, system in self.systems.items()
            if name in later.systems
            for feature in system.features
            if feature not in later.systems[name].features
        ]
        return systems + features

    def check(
        self,
        system_name: str,
        features: Sequence[str],
        *,
        pointer: str = "/features",
        held: Collection[str] = (),
    ) -> None:
        """Raise `UnknownFeature`, with one fault for each feature that the system does not have
        and the ticket does not hold; `pointer` is the path to the list."""
        known = self.system(system_name).features
        unknown = [
            (index, feature)
            for index, feature in enumerate(features)
            if feature not in known and feature not in held
        ]
        faults = tuple(
            Fault(
                f"{pointer}/{index}",
                UnknownFeature.code,
                f"{system_name} has no feature {_short(feature)}."
                f"{_nearest(feature, known) if position < _SUGGESTED else ''}",
            )
            for position, (index, feature) in enumerate(unknown[:_LISTED])
        )
        if len(unknown) > _LISTED:
            more = f"{len(unknown) - _LISTED} more are unknown."
            faults = (*faults, Fault(pointer, UnknownFeature.code, more))
        if faults:
            raise UnknownFeature(" ".join(fault.detail for fault in faults[:3]), faults)


def _short(name: str) -> str:
    """The name in quotes, cut to the longest name of a catalogue, as refusals are stored."""
    return repr(name if len(name) <= 64 else name[:63] + "…")


def _nearest(name: str, names: Mapping[str, object]) -> str:
    close = nearest(name, names)
    return f" Did you mean {close!r}?" if close else ""
