"""The entries of commands in the journal."""

import os
import pwd
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from api.use_cases.journaling import Actor, journal_entry
from api.use_cases.service import Service


def record(service: Service, action: str, details: Mapping[str, Any]) -> None:
    """Record in the journal that the user of this command did `action`, without the details that
    are None. Returns once the entry is durable; raises `StoreUnavailable` if it cannot be kept."""
    present = {name: value for name, value in details.items() if value is not None}
    actor = Actor(os_user(), org_id=None, correlation_id=f"cli-{uuid4().hex}")
    service.journal.append(journal_entry(service, actor, action, present))


def os_user() -> str:
    """The user of the operating system that this command runs as, like `cli:ada`."""
    number = os.getuid()  # not the environment, which anybody can set
    try:
        return f"cli:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"cli:{number}"
