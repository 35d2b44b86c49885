"""One problem of the closed list, with the words that explain it."""

from dataclasses import dataclass
from http import HTTPStatus

from domain.errors import Fault


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the closed list. `detail` and `faults` are those of an example."""

    code: str
    status: HTTPStatus
    title: str
    meaning: str
    remedy: str
    detail: str
    faults: tuple[Fault, ...] = ()
    version: int | None = None
