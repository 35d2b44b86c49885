"""Files that a service makes for itself, for its owner alone: a secret, a key."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError

_FOR_OTHERS: Final = 0o077
_LARGEST: Final = 1_000


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """What is in `path`, the same for everybody who asks, however many ask first at once; what
    `make` gives if there is no such file. Raises `OSError`, and `ConfigurationError` when others
    may read it."""
    if not path.exists():
        _write(path, make())
    with path.open(encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & _FOR_OTHERS:
            raise ConfigurationError(f"Others may read {path}. Run: chmod 600 {path}")
        return file.read(_LARGEST)


def _write(path: Path, text: str) -> None:
    """Write all of it aside, then give it its name: nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody else made it in the meantime: theirs is the one
            os.link(aside, path)
    finally:
        aside.unlink()
