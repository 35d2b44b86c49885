"""What this machine has left for the service: descriptors, and room on the disk."""

import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

LEAST_ROOM: Final = 100 * 1024 * 1024
"""Bytes on the disk of a SQLite store below which an operator is told."""

MOST_DESCRIPTORS: Final = 0.9
"""The part of the descriptors of this process above which an operator is told."""


def descriptors_problem() -> str | None:
    """What is wrong if this process can soon open no more connections and files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError):  # a system without this folder tells nothing
        used = len(os.listdir("/proc/self/fd"))
        if used > MOST_DESCRIPTORS * limit:
            return (
                f"This process has {used} of {limit} descriptors open: soon nobody can connect. "
                "Raise the limit (ulimit -n), or find out who keeps connections open."
            )
    return None


def disk_problem(path: Path) -> str | None:
    """What is wrong if the disk with this file has little room."""
    with suppress(OSError):  # a folder that is gone is the store's own problem
        free = shutil.disk_usage(path.parent).free
        if free < LEAST_ROOM:
            return (
                f"The disk with {path} has {free // 2**20} MB left: nothing can be stored once it "
                "is full. Make room."
            )
    return None
