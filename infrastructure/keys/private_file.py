"""Files with a secret or a key: one rule for all of them, whoever made them. Nobody but their owner
may read them."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError

_FOR_OTHERS: Final = 0o077
"""The permission bits of everybody but the owner."""

_LARGEST: Final = 10_000
"""Most characters that are read."""


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The text of the file. If there is none, it is made with the text that `make` returns;
    processes that do so at the same time all get the same text. Raises `OSError`, and
    `ConfigurationError` when others may read the file."""
    if not path.exists():
        _write(path, make())
    return read_private(path)


def read_private(path: Path) -> str:
    """The text of the file. Raises `OSError`, and `ConfigurationError` when others may read it."""
    with path.open(encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & _FOR_OTHERS:
            raise ConfigurationError(f"Others may read {path}. Run: chmod 600 {path}")
        return file.read(_LARGEST)


def _write(path: Path, text: str) -> None:
    """Write a temporary file, then give it its name, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process made it meanwhile: its file counts
            os.link(aside, path)
    finally:
        aside.unlink()
