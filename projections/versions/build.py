"""Building one partition of a new version of a view, in bulk: a ticket's row is written once it has
stopped changing, not once for each event."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from time import monotonic, sleep
from typing import Any, Final, Generic, cast

from domain.errors import EventUnreadable
from domain.log.ports import Partition
from domain.ticket.events import Recorded
from projections.running.projection import Parked, Projected, Row, park
from projections.versions.expected import At, unheard
from projections.versions.registry import Build, Versions

SLICE: Final = 5_000
"""Positions of the log that are read at once."""

FLUSH_SECONDS: Final = 10.0
"""Seconds between two writes of the position reached: a killed builder repeats at most that much
work."""

GATHERED: Final = 20_000
"""Most rows in memory before some of them are written."""

REMEMBERED: Final = 200_000
"""Most tickets whose latest row is remembered."""

_ORDERS_SECONDS: Final = 0.5
"""Seconds between two looks at the orders of operators."""


class PartitionBuilder(Generic[Row]):
    """Brings one partition of a version from its present position up to the build's target.

    It needs no fence: its rows follow from the log alone, and `View.load` never replaces a row by
    an older one. It writes in a thread of its own while the next events are read.
    """

    def __init__(self, projected: Projected[Row], build: Build, number: int) -> None:
        self._projection = projected.projection
        self._view = projected.view
        self._log = projected.log
        self._clock = projected.clock
        self._target = build.target
        self._partition = Partition(number, build.partitions)
        self.position = self._loaded = self._view.loaded().get(number, 0)
        self._flushed_at = monotonic()
        self._latest: dict[str, Row | None] = {}
        self._rows: list[tuple[str, Row]] = []
        self._dirty: dict[str, Row] = {}
        self._parked = set(self._view.parked())
        self._passed = projected.skipped().keys()
        self._newly_parked: list[Parked] = []
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._written: Future[None] | None = None

    @property
    def done(self) -> bool:
        return self.position >= self._target

    def step(self, most: int | None = None) -> int:
        """Project the next slice of the log, of at most `most` positions if that is given, and
        write when enough rows have gathered. Returns the number of positions passed."""
        before = self.position
        limit = min(SLICE, most or SLICE, self._target - before)
        log_slice = self._log.read_partition(self._partition, before, limit)
        self._remember(log_slice.events)
        unreadable = list(log_slice.unreadable)
        for recorded in log_slice.events:
            while unreadable and unreadable[0].position < recorded.position:
                self._park_at(unreadable.pop(0))
            self._project(recorded)
        for error in unreadable:
            self._park_at(error)
        self.position = max(log_slice.upto, before)
        if self.position == before:
            self.position = self._target  # the log ends before the target
        if self.done or monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()
        elif len(self._dirty) + len(self._rows) >= GATHERED:
            self._spill()
        return self.position - before

    def flush(self) -> None:
        """Write all rows in memory, and the position reached."""
        rows = self._rows or list(self._dirty.items())
        self._rows, self._dirty = [], {}
        self._write_up_to_here(rows)
        self._settle()
        if len(self._latest) >= REMEMBERED:
            self._latest.clear()
        self._flushed_at = monotonic()

    def _spill(self) -> None:
        """Write the rows that will hardly change again: those of the tickets whose last event lies
        furthest back."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._write_up_to_here(rows)
        else:
            rows = list(islice(self._dirty.items(), GATHERED // 2))
            for ticket_id, _ in rows:
                del self._dirty[ticket_id]
            self._write(rows, ())

    def _write_up_to_here(self, rows: Sequence[tuple[str, Row]]) -> None:
        parked, self._newly_parked = self._newly_parked, []
        self._loaded = self.position
        self._write(rows, parked)

    def _write(self, rows: Sequence[tuple[str, Row]], parked: Sequence[Parked]) -> None:
        self._settle()
        number = self._partition.number
        self._written = self._writing.submit(self._view.load, number, self._loaded, rows, parked)

    def _settle(self) -> None:
        """Wait for the write in progress, and raise its error if it failed."""
        if self._written:
            self._written.result()
            self._written = None

    def _remember(self, events: Sequence[Recorded]) -> None:
        """Fetch the rows that the events build on. A stream that begins with them has none."""
        first: dict[str, int] = {}
        for recorded in events:
            first.setdefault(recorded.ticket_id, recorded.version)
        missing = [i for i, version in first.items() if version > 1 and i not in self._latest]
        if missing:
            self._latest.update(self._view.latest(missing))

    def _project(self, recorded: Recorded) -> None:
        ticket_id = recorded.ticket_id
        if ticket_id in self._parked or recorded.position in self._passed:
            return
        before = self._latest.get(ticket_id)
        if before is not None and cast(Any, before).version >= recorded.version:
            return  # an interrupted builder wrote this row
        try:
            row = self._projection.project(before, recorded)
        except Exception as error:  # an error of the projection concerns this ticket alone
            self._park(ticket_id, recorded.position, error)
            return
        self._latest[ticket_id] = row
        if row is None:
            return
        if self._projection.every:
            self._rows.append((ticket_id, row))
        else:
            self._dirty.pop(ticket_id, None)  # to the end: the first are the ones that rest
            self._dirty[ticket_id] = row

    def _park_at(self, error: EventUnreadable) -> None:
        if error.position not in self._passed:
            self._park(error.ticket_id, error.position, error)

    def _park(self, ticket_id: str, position: int, error: Exception) -> None:
        if ticket_id not in self._parked:
            self._parked.add(ticket_id)
            self._newly_parked.append(park(ticket_id, position, error, self._clock()))


def build_partition(
    projected: Projected[Any],
    versions: Versions[Any],
    build: Build,
    number: int,
    at: At = unheard,
) -> None:
    """Build one partition to its end, at the rate and with the pauses that operators order. Stops
    early when the build is cancelled."""
    builder = PartitionBuilder(projected, build, number)
    orders, looked_at, due = build, 0.0, 0.0
    while not builder.done:
        at(builder.position)
        if monotonic() - looked_at > _ORDERS_SECONDS:
            building = versions.registry().building
            if building is None or building.version != build.version:
                return
            orders, looked_at = building, monotonic()
        if orders.paused:
            sleep(_ORDERS_SECONDS)
        elif orders.rate and (early := due - monotonic()) > 0:
            sleep(min(early, _ORDERS_SECONDS))  # the orders may change meanwhile
        else:
            started = monotonic()
            passed = builder.step(orders.rate)  # a second of work: throttles a short log too
            if orders.rate:
                # each partition reads past all events, so its own rate is the whole rate
                due = started + passed / orders.rate
