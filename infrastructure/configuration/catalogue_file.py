"""The catalogue file, read again when it changes."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final

from domain.catalogue import Catalogue
from domain.errors import ConfigurationError
from infrastructure.configuration.catalogue_toml import parse_catalogue

_SECONDS_BETWEEN_LOOKS: Final = 1.0
"""Seconds for which the file is not read again."""

_NAMED: Final = 100
"""Most systems and features that are named in one line of the log."""

_LARGEST: Final = 1_000_000
"""Most bytes of a catalogue."""


class CatalogueFile:
    """The catalogue in force, safe to ask from any thread.

    A changed file counts once two looks in a row, a second apart, saw the same bytes: it may be
    read while it is half written, and be good TOML. What is gone from it is logged by name.
    A file that is wrong from the start raises `ConfigurationError`. One that goes wrong later is
    reported in `problem` and logged once, while the last good catalogue stays in force.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self.path = path
        self.problem: str | None = None
        self._monotonic = monotonic
        self._looking = Lock()
        self._seen: bytes | None = _read(path)
        self._judged: bytes | None = self._seen
        self._catalogue = _parse(path, self._seen)
        self._look_at = monotonic() + _SECONDS_BETWEEN_LOOKS

    def current(self) -> Catalogue:
        """The catalogue in force. Call it every time: it reads the file at most once a second."""
        if self._monotonic() >= self._look_at:
            with self._looking:
                now = self._monotonic()
                if now >= self._look_at:
                    self._look_at = now + _SECONDS_BETWEEN_LOOKS
                    self._look()
        return self._catalogue

    def _look(self) -> None:
        # The content itself is compared: it is small, and two writes within one tick of the
        # file system's clock leave the same time and may leave the same size.
        seen, self._seen = self._seen, None
        judged, self._judged = self._judged, None
        try:
            self._seen = _read(self.path)
            if self._seen != seen or self._seen == judged:
                self._judged = judged
                return
            self._judged = self._seen
            catalogue = _parse(self.path, self._seen)
        except ConfigurationError as error:
            if str(error) != self.problem:
                self.problem = str(error)
                _logger().error(
                    "catalogue.refused", problem=self.problem, in_force="the last good one"
                )
        else:
            lost, self._catalogue = self._catalogue.lost(catalogue), catalogue
            self.problem = None
            _logger().info("catalogue.reloaded", path=str(self.path), sha256=self._catalogue.digest)
            if lost:
                _logger().warning(
                    "catalogue.lost", gone=list(lost[:_NAMED]), more=max(len(lost) - _NAMED, 0)
                )


def _logger() -> Any:
    import structlog  # a command that reads the catalogue once has nothing to log

    return structlog.get_logger(__name__)


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{path} is not a file. Name the catalogue file itself.")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The catalogue {path} cannot be read: {error.strerror}. "
            "Check TICKETBOOK_CATALOGUE and the file's permissions."
        ) from error
    if len(content) > _LARGEST:
        raise ConfigurationError(f"{path} has more than {_LARGEST:,} bytes. Is it a catalogue?")
    return content


def _parse(path: Path, content: bytes) -> Catalogue:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: this is not UTF-8 text. Save the file as UTF-8."
        ) from error
    return parse_catalogue(text, str(path))
