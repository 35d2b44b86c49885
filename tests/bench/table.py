"""The one table a benchmark run ends with."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from tests.bench.load import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """`held` is None where nothing is promised, or where there was nothing to compare with."""

    what: str
    ours: str = ""
    baseline: str = ""
    ratio: str = ""
    target: str = ""
    held: bool | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the table, and what a reader must know about how it was measured."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def shown(what: str, ours: Sample) -> Row:
    return Row(what, f"{ours.rate:,.0f}/s, p50 {ours.p50:.1f} ms, p99 {ours.p99:.1f} ms")


def compared(what: str, ours: Sample, baseline: Sample) -> Row:
    ratio = f"{ours.rate / baseline.rate:.1f}"
    return Row(what, f"{ours.rate:,.0f}/s", f"{baseline.rate:,.0f}/s", ratio)


def faster(what: str, ours: Sample, baseline: Sample, times: float) -> Row:
    held = ours.rate >= times * baseline.rate
    return replace(compared(what, ours, baseline), target=f">= {times:g} x", held=held)


def at_least(what: str, ours: float, baseline: float, times: float) -> Row:
    """Both per second."""
    ratio = ours / baseline
    shown_ratio = f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
    return Row(
        what, f"{ours:,.0f}/s", f"{baseline:,.0f}/s", shown_ratio, f">= {times:g} x", ratio >= times
    )


def at_most(what: str, ours: float, baseline: float, times: float) -> Row:
    """Both in milliseconds."""
    ratio = ours / baseline
    return Row(
        what,
        f"{ours:.1f} ms",
        f"{baseline:.1f} ms",
        f"{ratio:.1f}",
        f"<= {times:g} x",
        ratio <= times,
    )


def below(what: str, ours: float, limit: float) -> Row:
    """Both in milliseconds."""
    return Row(what, f"{ours:.1f} ms", target=f"< {limit:g} ms", held=ours < limit)


def missing(what: str, target: str, reason: str) -> Row:
    return Row(what, baseline=reason, target=target)


def show(parts: Iterable[Part], console: Console) -> None:
    table = Table("what", title="Ticketbook: numbers to hold", title_justify="left")
    for heading in ("ours", "baseline", "ratio", "target", "held?"):
        table.add_column(heading, justify="right")
    notes: list[str] = []
    for part in parts:
        for row in part.rows:
            held = {True: "yes", False: "NO", None: ""}[row.held]
            table.add_row(row.what, row.ours, row.baseline, row.ratio, row.target, held)
        table.add_section()
        notes.extend(part.notes)
    console.print(table)
    for note in notes:
        console.print(f"- {note}", highlight=False, soft_wrap=True)
