"""`ticketbook projections status`."""

import typer

from api.cli.opening import open_for_command
from api.cli.options import Json
from api.cli.output import Exit, print_json, print_table, say
from api.wire.projections import status_json
from projections.versions.status import VersionStatus, status

_COLUMNS = (
    *("projection", "version", "role", "state", "position", "head", "lag", "lag s", "parked"),
    *("holder", "build"),
)


def show_status(json: Json = False) -> None:
    """Where each version of each projection stands.

    Exits with 1 when a live one is down or has parked tickets.
    """
    with open_for_command() as service:
        statuses = [status(projection) for projection in service.projections.values()]
    if json:
        print_json([status_json(each) for each in statuses])
    else:
        print_table(
            _COLUMNS, [_row(each.name, version) for each in statuses for version in each.versions]
        )
        for each in statuses:
            for parked in each.live_version.parked:
                say(f"{each.name}: ticket {parked.ticket_id} is parked at {parked.position}: ")
                say(f"  {parked.error}")
            for version in each.versions:
                if version.complete and version.state == "stopped":
                    say(
                        f"{each.name}: version {version.version} is complete and not live. "
                        f"To switch to it: ticketbook projections rebuild {each.name}. "
                        f"To delete it: ticketbook projections cancel {each.name}."
                    )
            for skipped in each.skipped:
                say(f"{each.name}: position {skipped.position} is skipped: {skipped.reason}")
    if any(each.live_version.state == "down" or each.live_version.parked for each in statuses):
        raise typer.Exit(Exit.DIFFERENT)


def _row(name: str, version: VersionStatus) -> tuple[object, ...]:
    lease = version.lease
    return (
        name,
        version.version,
        version.role,
        version.state,
        version.position,
        version.head,
        version.lag_events,
        f"{version.lag_seconds:.1f}",
        len(version.parked),
        lease.holder if lease and not lease.expired else "-",
        _build(version),
    )


def _build(version: VersionStatus) -> str:
    if version.build is None:
        return "-"
    if version.complete:
        return f"complete up to {version.position}, not live"
    limit = f", at most {version.build.rate} events/s" if version.build.rate else ""
    return f"{version.progress:.0%} of {version.build.target}{limit}"
