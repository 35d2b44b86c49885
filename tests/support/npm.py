"""Packages of npm, installed once in a folder however many processes want them."""

import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

_INSTALL: Final = (
    *("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"),
    *("--loglevel", "error"),
)
_PATIENCE: Final = 180.0
"""Seconds that an installation may take."""


def has_node() -> bool:
    return all(shutil.which(program) for program in ("node", "npm"))


def install(folder: Path, *packages: str) -> None:
    """Install these packages, or those that the folder's package.json names. One process at a time
    does; the others wait, and find what it noted at the end: nobody uses half an installation.

    Raises `CalledProcessError`, `TimeoutExpired`.
    """
    package = folder / "package.json"
    complete = folder / "node_modules" / ".installed"
    with package.open() as file:
        flock(file, LOCK_EX)
        wanted = "\n".join((file.read(), *packages))
        if complete.exists() and complete.read_text() == wanted:
            return
        subprocess.run(
            [*_INSTALL, *(("--no-save", *packages) if packages else ())],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_PATIENCE,
        )
        complete.write_text(wanted)
