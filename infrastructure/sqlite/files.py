"""The files of a store by their identity: a path may lead to other files than the open ones."""

import os
from pathlib import Path
from typing import Final

from domain.errors import StoreUnavailable

_BESIDE: Final = ("", "-wal", "-shm")
"""The ends of the names of a store's files: recent commits are in the second, and who may write
is agreed upon in the third."""

Identity = tuple[int, int] | None
"""Device and inode; None for a file that is not there."""


class StoreFiles:
    """The files that a store has open, told apart from others of the same name.

    Somebody may remove or replace them while the store is open. Everything that is committed then
    goes to files without a name, and is lost when the last process closes them.
    """

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(path.name + end) for end in _BESIDE]
        self._open = self._identities()

    def note(self) -> None:
        """Note the files that are there now as the open ones: to be called once the first
        connection has read something."""
        self._open = self._identities()

    def check(self) -> None:
        """Raise `StoreUnavailable`, naming the path, unless each path still leads to the file
        that is open."""
        for path, is_open, is_there in zip(
            self._paths, self._open, self._identities(), strict=True
        ):
            if is_open is not None and is_there != is_open:
                became = "is gone" if is_there is None else "is another file now"
                raise StoreUnavailable(
                    f"{path} {became}: it was removed, replaced or hidden by a mount while the "
                    "store was open. Nothing more is stored, as it would be lost. Put the file "
                    "back, or stop all processes and restore a backup."
                )

    def _identities(self) -> list[Identity]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path) -> Identity:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
