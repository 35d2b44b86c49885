"""How far the changes of a source were followed, in the notes beside the log."""

from infrastructure.migration.source import DatabaseSource
from infrastructure.stores import Notes


class FollowedPlace:
    """The token of the last change of one collection that was taken over durably."""

    def __init__(self, notes: Notes, source: DatabaseSource, collection: str) -> None:
        self._notes = notes
        self._name = f"followed {source.name} {collection}"

    def find(self) -> str | None:
        """The token that was kept last; None when there is none."""
        token: str | None = self._notes.find(self._name)
        return token

    def keep(self, token: str) -> None:
        """Durable once this returns."""
        self._notes.keep(self._name, token)

    def forget(self) -> None:
        self._notes.forget(self._name)
