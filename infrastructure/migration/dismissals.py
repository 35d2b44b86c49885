"""Records in quarantine that an operator decided to leave there, with the reason."""

from dataclasses import asdict, dataclass

from infrastructure.stores import Notes


@dataclass(frozen=True, slots=True)
class Dismissal:
    """Who left a record there, when (ISO) and why."""

    actor: str
    at: str
    reason: str


class Dismissals:
    """The dismissed records of one collection, in the notes beside the log. A dismissal is of
    exactly these bytes: a record that is changed in its source needs another one."""

    def __init__(self, notes: Notes, collection: str) -> None:
        self._notes = notes
        self._collection = collection

    def keep(self, digest: str, dismissal: Dismissal) -> None:
        self._notes.keep(self._name(digest), asdict(dismissal))

    def find(self, digest: str) -> Dismissal | None:
        """The dismissal of the record with this digest; None if there is none."""
        note = self._notes.find(self._name(digest))
        return Dismissal(**note) if note else None

    def _name(self, digest: str) -> str:
        return f"dismissed {self._collection} {digest}"
