"""Names that need their docstring: no module, class or function has one of them.

Each was read by somebody new to the house who could not tell what it names: a participle without
its noun (`told`, `shown`), a word with several meanings here (`operation`, `evidence`), or a
picture where the field has a term (`Share` for a partition, `Door` for a way in).
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

HOUSE: Final = Path(__file__).parents[2]
LAYERS: Final = ("domain", "projections", "infrastructure", "api")

REPLACED: Final = {
    "Share": "Partition",
    "Stretch": "LogSlice",
    "lives": "histories",
    "Life": "TicketHistory",
    "Walk": "TicketScan",
    "steering": "control",
    "parking": "parked",
    "live": "followed, or live_version",
    "granting": "grants",
    "operation": "job, or repair",
    "operations": "jobs, or repair",
    "operating": "jobs",
    "Operator": "JobRunner, os_user, or migration_origin",
    "evidence": "export, or proofs",
    "recorded": "journaling",
    "standing": "status",
    "controlling": "control",
    "dropping": "drop_old",
    "naming": "arguments",
    "verifying": "verify",
    "rebuilding": "rebuild",
    "asking": "reading",
    "fit": "system_match",
    "whole": "record_text",
    "lenient": "bson",
    "shape": "sniff",
    "ledger": "imported_events",
    "mismatch": "mismatches",
    "tally": "counts",
    "Taken": "counts of what was taken over",
    "Door": "LegacyTickets",
    "Wishes": "WriteRequest",
    "told": "explain",
    "opened": "open_for_command",
    "opened_to_read": "read_only_if_any",
    "opened_to_look": "read_only",
    "shown": "wait_for_audit",
    "hidden": "blocking_parked",
    "Verification": "ViewReport, or MigrationCheck",
    "Checked": "RepairReport, or ExportReport",
    "Difference": "ViewMismatch, or TicketDiff",
    "Content": "TicketContent, or TableDigest",
    "Change": "ViewChange, or SourceChange",
    "Kept": "ReadOnlyStores, or QuarantinedRecord",
    "dawdling_service": "slow_service",
    "chronicle": "small_log",
}
"""The name that says too little, and the name to use."""


def named(path: Path) -> Iterator[tuple[str, int]]:
    """The names of a module and of all classes and functions in it, with their lines."""
    yield path.stem, 1
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_class_or_function_has_a_name_that_needs_its_docstring(layer: str) -> None:
    assert [
        f"{path.relative_to(HOUSE)}:{line}: {name} should be {REPLACED[name.lstrip('_')]}"
        for path in sorted((HOUSE / layer).rglob("*.py"))
        for name, line in named(path)
        if name.lstrip("_") in REPLACED
    ] == []


def test_no_folder_has_one_either() -> None:
    folders = [p for layer in LAYERS for p in (HOUSE / layer).rglob("*") if p.is_dir()]
    assert [str(folder) for folder in folders if folder.name in REPLACED] == []


def test_the_helpers_of_the_tests_say_what_they_hold() -> None:
    helpers = (HOUSE / "tests" / "support").rglob("*.py")
    assert [path.name for path in helpers if path.stem in REPLACED] == []


WITHOUT_NOUN: Final = set(
    [
        "told",
        "asked",
        "found",
        "kept",
        "given",
        "some",
        "one",
        "whole",
        "standing",
        "lenient",
        "fit",
        "share",
        "shares",
        "stretch",
        "life",
        "lives",
        "walk",
    ]
)
"""Words that do not say what a variable of a function holds; a field has its class beside it."""


@pytest.mark.parametrize("layer", LAYERS)
def test_every_variable_carries_its_noun(layer: str) -> None:
    assert [
        f"{path.relative_to(HOUSE)}:{node.lineno}: {node.id}"
        for path in sorted((HOUSE / layer).rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if node.id in WITHOUT_NOUN
    ] == []


def test_cannot_is_one_word() -> None:
    two_words = "can" + " not"
    assert [
        str(path.relative_to(HOUSE))
        for layer in LAYERS
        for path in sorted((HOUSE / layer).rglob("*.py"))
        if two_words in path.read_text()
    ] == []
