"""Measure, and print one table."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from tests.bench.append import append_to_mongodb, append_to_sqlite
from tests.bench.audit import page_mongodb, page_sqlite
from tests.bench.export import export_from_mongodb, export_from_sqlite
from tests.bench.keepup import keep_up_on_mongodb, keep_up_on_sqlite
from tests.bench.migrate import migrate
from tests.bench.online import use_while_rebuilding
from tests.bench.over_http import create_ticket, read_back
from tests.bench.plan import FULL, QUICK, Plan
from tests.bench.rebuild import rebuild_on_mongodb, rebuild_on_sqlite
from tests.bench.start import start
from tests.bench.strangers import serve_beside_strangers
from tests.bench.table import Part, show
from tests.support.mongod import ReplicaSet

Measurement = Callable[[str, Path, Plan], Part]

MEASUREMENTS: Final[Mapping[str, tuple[Measurement, ...]]] = {
    "append": (
        lambda uri, folder, plan: append_to_mongodb(uri, plan),
        lambda uri, folder, plan: append_to_sqlite(folder, plan),
    ),
    "export": (
        lambda uri, folder, plan: export_from_sqlite(folder, plan),
        lambda uri, folder, plan: export_from_mongodb(uri, folder, plan),
    ),
    "audit": (
        lambda uri, folder, plan: page_sqlite(folder, plan),
        lambda uri, folder, plan: page_mongodb(uri, plan),
    ),
    "http": (lambda uri, folder, plan: create_ticket(uri, plan),),
    "readback": (lambda uri, folder, plan: read_back(uri, plan),),
    "rebuild": (
        lambda uri, folder, plan: rebuild_on_mongodb(uri, plan),
        lambda uri, folder, plan: rebuild_on_sqlite(folder, plan),
    ),
    "keepup": (
        lambda uri, folder, plan: keep_up_on_mongodb(uri, plan),
        lambda uri, folder, plan: keep_up_on_sqlite(folder, plan),
    ),
    "online": (lambda uri, folder, plan: use_while_rebuilding(uri, plan),),
    "migrate": (migrate,),
    "strangers": (lambda uri, folder, plan: serve_beside_strangers(folder, plan),),
    "start": (lambda uri, folder, plan: start(folder, plan),),
}


def main() -> None:
    options = _options()
    plan = QUICK if options.quick else FULL
    progress = Console(stderr=True)
    parts: list[Part] = []
    with TemporaryDirectory(prefix="ticketbook-bench-") as folder, _mongodb(Path(folder)) as uri:
        for name, measurements in MEASUREMENTS.items():
            if options.only in (None, name):
                for measure in measurements:
                    progress.print(f"measuring {name} …")
                    parts.append(measure(uri, Path(folder), plan))
    show(parts, Console(width=max(Console().width, 140)))


@contextmanager
def _mongodb(folder: Path) -> Iterator[str]:
    """The replica set `MONGODB_URI` names, or one of our own for as long as the run takes."""
    if given := os.environ.get("MONGODB_URI"):
        yield given
    else:
        with closing(ReplicaSet(folder / "mongod", members=1)) as replica_set:
            yield replica_set.uri


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one measurement of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
