"""How commands of a migration show their outcome."""

from dataclasses import asdict

import typer

from api.cli.output import Exit, counted, print_json, say
from api.wire.fields import camel_case
from infrastructure.migration.counts import Counts
from infrastructure.migration.mismatches import Mismatch
from infrastructure.migration.notices import Notice, NoUsers, OtherSources, Started
from infrastructure.migration.verify import VerifyResult


def say_notice(notice: Notice) -> None:
    match notice:
        case OtherSources(names):
            say(
                f"Records of this system were taken over from {', '.join(names)} too, so none that "
                "is not in this source is noted as gone. If all are the same old system, say "
                "--gone."
            )
        case NoUsers(source):
            say(f"{source} has no users: no references were looked at.")
        case Started():
            pass


def say_doubt(counts: Counts) -> None:
    """Warn when the records seem to be of another system than the one that was named."""
    if doubt := counts.system_match.doubt():
        say(doubt)


def rows_of(counts: Counts) -> list[tuple[str, int]]:
    """Rows of a table: a kind of record, and how many there are."""
    rows = [
        ("imported clean", counts.clean),
        ("imported with repairs", counts.repaired),
        *((f"  {repair}", number) for repair, number in counts.repairs.most_common()),
        *(
            (f"  unknown feature {feature!r}", number)
            for feature, number in counts.unknown_features.most_common()
        ),
        ("quarantined", counts.quarantined.total()),
        *((f"  {reason}", number) for reason, number in counts.quarantined.most_common()),
        ("already imported", counts.already),
    ]
    if counts.removed:
        rows.append(("gone since", counts.removed))
    return [*rows, ("all", counts.records)]


def line_of(counts: Counts) -> str:
    """The fate of the records, in a line."""
    line = (
        f"{counts.imported:,} imported, {counts.quarantined.total():,} in quarantine, "
        f"{counts.removed:,} gone, {counts.unchanged:,} unchanged"
    )
    if counts.changed_here:
        line += f", {counts.changed_here:,} kept as changed here"
    if counts.replaced:
        line += f"; {counts.replaced:,} replaced a change made here"
    return line


def print_mismatch(mismatch: Mismatch) -> None:
    """As a line of JSON."""
    print_json(mismatch.as_json(), indent=None)


def conclude(result: VerifyResult, json: bool) -> None:
    """Say what a comparison showed; exits with 1 when anything is unexplained."""
    accounted, listed, unexplained = result.accounted, result.listed, result.unexplained
    if json:
        numbers = {"listed": listed, "unexplained": unexplained}
        print_json({"kind": "summary"} | camel_case(asdict(accounted)) | numbers, indent=None)
    say(
        f"{counted(accounted.records, 'record')}: {accounted.equal:,} equal tickets, "
        f"{accounted.repaired:,} with exactly the recorded repairs, "
        f"{accounted.changed_here:,} changed here since, "
        f"{accounted.quarantined:,} in quarantine. {accounted.gone:,} are gone on both sides."
    )
    say(f"{listed:,} listed, {unexplained:,} of them unexplained.")
    if unexplained:
        raise typer.Exit(Exit.DIFFERENT)
