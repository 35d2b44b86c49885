"""Where the files of the tests stand."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 3 * 1024**3
"""Bytes that two workers take at most, with the data of their MongoDB servers."""


def keep_files_in_memory() -> None:
    """Make a memory file system the place of temporary files, where there is one with room, unless
    `TMPDIR` names another place.

    A store writes and waits for its disk many times a test. This takes nothing from what the tests
    show: the kernel keeps such files when a process is killed, as it keeps those of a disk, and no
    test cuts the power.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # to be found anew: pytest made a file already
