"""`ticketbook legacy`: who still calls in the old way."""

from typing import Any

import typer

from api.cli.opening import open_for_command
from api.cli.options import Json, Since
from api.cli.output import example, print_json, print_table
from api.cli.times import Zone, times
from api.wire.fields import iso
from infrastructure.clock import now
from infrastructure.legacy_usage import LegacyCalls

app = typer.Typer(name="legacy", help="The old system's callers.", no_args_is_help=True)


@app.command("usage", epilog=example("ticketbook legacy usage --since 2027-01-01"))
def usage(
    since: Since = None,
    tz: Zone = "UTC",
    json: Json = False,
) -> None:
    """Print how often each caller took each old route, the latest call first.

    A caller is a user's id, or unknown where no token named one. When nobody has called for as
    long as your slowest client sleeps, the old routes can go.
    """
    first = times(tz, now).moment(since, "--since")
    with open_for_command() as service:
        usages = service.legacy_usage.all()
    if first is not None:
        usages = [calls for calls in usages if calls.last_at >= first]
    if json:
        print_json([_json(calls) for calls in usages])
    else:
        columns = ["caller", "route", "calls", "first", "last"]
        rows = [(c.caller, c.route, c.calls, iso(c.first_at), iso(c.last_at)) for c in usages]
        print_table(columns, rows)


def _json(calls: LegacyCalls) -> dict[str, Any]:
    return {
        "caller": calls.caller,
        "route": calls.route,
        "calls": calls.calls,
        "firstAt": iso(calls.first_at),
        "lastAt": iso(calls.last_at),
    }
