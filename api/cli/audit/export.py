"""`ticketbook audit export`: entries in a form that can be checked without this service."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from api.cli.audit.filter import filter_json, filtered, refuse_unknown_names
from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.output import example, say
from api.cli.progress import Meter
from api.cli.waiting import wait_for_audit_of
from api.export.export import ExportSource, export
from api.export.formats import FORMATS
from api.use_cases.known_names import filtered_names
from api.use_cases.signing import signing_key
from domain.origin import milliseconds
from projections.audit.search import AuditFilter

app = typer.Typer()


class Style(StrEnum):
    """The formats of an export."""

    NDJSON = "ndjson"
    CSV = "csv"


@app.command("export", epilog=example("ticketbook audit export --format csv > audit.csv"))
@filtered
def export_entries(
    where: AuditFilter,
    style: Annotated[Style, typer.Option("--format", help="ndjson or csv.")] = Style.NDJSON,
) -> None:
    """Print every entry that matches, oldest first, with all it takes to check it. The last line
    is signed; without it the export was interrupted."""
    with open_for_command(watch=True) as service:
        wait_for_audit_of(service, where)
        refuse_unknown_names(service, **filtered_names(where))
        source = ExportSource(
            view=service.audit.view,
            log=service.log,
            key=signing_key(service),
            where=where,
            style=FORMATS[style.value],
            began=milliseconds(service.clock()),
            skipped=service.audit.versions.skipped,
        )
        record(service, "audit.exported", filter_json(where) | {"format": style.value})
        _write(export(source))


def _write(pieces: Iterable[bytes]) -> None:
    meter, lines = Meter(), 0
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        lines += piece.count(b"\n")
        meter.lines(lines)
    sys.stdout.buffer.flush()
    say("")
