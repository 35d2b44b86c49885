"""The benchmark runs. What it measures is never a test: a busy machine must fail nobody."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.bench.append import append_to_mongodb, append_to_sqlite
from tests.bench.audit import page_mongodb, page_sqlite
from tests.bench.migrate import migrate
from tests.bench.plan import Plan
from tests.bench.start import start
from tests.bench.table import show

_TINY = Plan(rounds=1, seconds=0.05, events=300, others=False, questions=20)


def test_the_append_benchmark_ends_with_a_table_that_says_of_each_target_whether_it_held(
    mongodb_uri: str, tmp_path: Path
) -> None:
    parts = (append_to_mongodb(mongodb_uri, _TINY), append_to_sqlite(tmp_path, _TINY))

    table = StringIO()
    show(parts, Console(file=table, width=200))

    rows = [row for part in parts for row in part.rows]
    assert {row.target for row in rows if row.held is not None} == {">= 10 x", ">= 3 x", "<= 3 x"}
    assert all(row.what in table.getvalue() for row in rows)


def test_the_audit_benchmark_asks_both_stores(mongodb_uri: str, tmp_path: Path) -> None:
    parts = (page_sqlite(tmp_path, _TINY), page_mongodb(mongodb_uri, _TINY))

    rows = [row for part in parts for row in part.rows]
    assert {row.target for row in rows} == {"< 200 ms", "<= 1.5 x"}
    assert all(row.ours and row.held is not None for row in rows)


def test_the_migration_benchmark_tells_rate_and_memory_of_both_stores(
    mongodb_uri: str, tmp_path: Path
) -> None:
    rows = migrate(mongodb_uri, tmp_path, _TINY).rows
    assert [row.target for row in rows] == [">= 10,000/s", "< 200 MB"] * 2
    assert all(row.ours and row.held is not None for row in rows)


def test_the_benchmark_of_starts_compares_each_command_with_its_limit(tmp_path: Path) -> None:
    rows = start(tmp_path, _TINY).rows
    assert [row.target for row in rows] == ["<= 3 x", "<= 4 x", "<= 4 x"]
    assert all(row.ours and row.baseline and row.held is not None for row in rows)
