"""Audit entries as items of a page."""

from collections.abc import Sequence
from typing import Any

from anyio import to_thread

from api.http.request.callers import Call
from api.use_cases.imported import imports_behind
from api.wire.audit import audit_entry_json
from projections.audit.projection import AuditEntry


async def entry_items(call: Call, entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    """The JSON of the entries; those of imports also say what was repaired. Raises
    `StoreUnavailable`."""
    imports = await to_thread.run_sync(imports_behind, call.service.log, entries)
    return [audit_entry_json(entry, imports.get(entry.position)) for entry in entries]
