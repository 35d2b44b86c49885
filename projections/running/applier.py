"""Applying events to a view, batch by batch, while the lease of the view is held."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic

from domain.errors import EventUnreadable, Fenced, StoreUnavailable, TicketNotParked
from domain.ticket.events import Recorded
from projections.running.projection import Parked, Projected, Row, ViewChange, ViewStep, park

BATCH: Final = 1_000
"""Most events in one transaction."""

_REMEMBERED: Final = 20_000
"""Most tickets whose latest row is kept in memory."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Row]):
    """Events in order, projected but not yet stored. `rows`: the latest row of each ticket then."""

    events: Sequence[Recorded]
    step: ViewStep[Row]
    rows: dict[str, Row | None]


_log = logging.getLogger(__name__)


class Applier(Generic[Row]):
    """Writes one view, as the holder of its highest fence.

    It remembers the rows that it wrote last, so that a busy ticket costs no query.
    """

    def __init__(self, projected: Projected[Row], fence: int) -> None:
        self._projection = projected.projection
        self._view = projected.view
        self._log = projected.log
        self._clock = projected.clock
        self._skipped = projected.skipped
        self.fence = fence
        self._rows: OrderedDict[str, Row | None] = OrderedDict()
        self.resume()

    def resume(self) -> None:
        """Read the checkpoint and the parked tickets again, after something else changed the view.
        Tickets that are parked at an event which was skipped meanwhile go on."""
        self._rows.clear()
        self.position = self._view.take_over(self.fence)
        self._passed_over = self._skipped().keys()
        self._parked = dict(self._view.parked())
        for parked in list(self._parked.values()):
            if parked.position in self._passed_over and parked.position <= self.position:
                self.go_on(parked.ticket_id)

    def go_on(self, ticket_id: str) -> None:
        """Retry a parked ticket. If that fails for any reason of its own, it stays parked."""
        try:
            self.retry(ticket_id)
        except (Fenced, StoreUnavailable):
            raise
        except Exception:
            return  # its row is damaged as well; no other ticket must wait for it

    def step(self, limit: int = BATCH) -> int:
        """Apply at most `limit` of the next events; returns their number. Raises `Fenced`."""
        try:
            events = self._log.read(self.position, limit)
        except EventUnreadable as error:
            self.pass_over(error.ticket_id, error.position, error)
            return 1
        if events:
            self.apply(events)
        return len(events)

    def retry(self, ticket_id: str) -> None:
        """Apply the waiting events of a parked ticket, or park it again at the event that fails
        now. Raises `TicketNotParked`."""
        parked = self._parked.get(ticket_id)
        if parked is None:
            raise TicketNotParked(f"{self._projection.name} has no parked ticket {ticket_id}.")
        history = self._log.fragments([ticket_id]).get(ticket_id, ())
        waiting = [
            event
            for event in history
            if parked.position <= event.position <= self.position
            and event.position not in self._passed_over
        ]
        row = self._view.latest([ticket_id]).get(ticket_id)
        rows: list[tuple[str, Row | None]] = []
        parked_again: list[Parked] = []
        for recorded in waiting:
            try:
                if isinstance(recorded, EventUnreadable):
                    raise recorded
                row = self._projection.project(row, recorded)
            except Exception as error:
                parked_again.append(self._park(ticket_id, recorded.position, error))
                break
            rows.append((ticket_id, row))
        released = () if parked_again else (ticket_id,)
        change = ViewChange(
            self.position, self.position, self._to_store(rows), parked_again, released
        )
        self._commit(change, {ticket_id: row})

    def prepare(self, events: Sequence[Recorded]) -> Prepared[Row] | None:
        """Project the next events, for `settle` once they are stored. None when a stored row
        cannot be read: then they were applied, each on its own. Raises `Fenced`."""
        try:
            change, rows = self._project(events)
        except (Fenced, StoreUnavailable):
            raise
        except Exception as error:
            self._apply_apart(events, error)
            return None
        return Prepared(events, ViewStep(self._view, change, self.fence), rows)

    def settle(self, prepared: Prepared[Row], error: Exception | None) -> None:
        """Go on after the prepared step was taken, or failed with `error`. A row that cannot be
        stored is found and its ticket parked. Raises `Fenced`."""
        if error is None:
            self._note(prepared.step.change, prepared.rows)
        elif isinstance(error, Fenced | StoreUnavailable):
            raise error
        else:
            self._apply_apart(prepared.events, error)

    def apply(self, events: Sequence[Recorded]) -> None:
        """Project and store the next events. Raises `Fenced`."""
        if prepared := self.prepare(events):
            self.settle(prepared, prepared.step.take())

    def _apply_apart(self, events: Sequence[Recorded], error: Exception) -> None:
        """Apply each event on its own, after they failed together, and park the one that fails."""
        if len(events) > 1:
            for recorded in events:
                self.apply([recorded])
        else:
            self.pass_over(events[0].ticket_id, events[0].position, error)

    def pass_over(self, ticket_id: str, position: int, error: Exception) -> None:
        """Move past one event, and park its ticket unless the event is skipped."""
        fine = ticket_id in self._parked or position in self._passed_over
        parked = [] if fine else [self._park(ticket_id, position, error)]
        self._commit(ViewChange(self.position, position, (), parked), {})

    def _project(self, events: Sequence[Recorded]) -> tuple[ViewChange[Row], dict[str, Row | None]]:
        flowing = [
            recorded
            for recorded in events
            if recorded.ticket_id not in self._parked and recorded.position not in self._passed_over
        ]
        current = self._current(flowing)
        rows: list[tuple[str, Row | None]] = []
        parked: dict[str, Parked] = {}
        for recorded in flowing:
            ticket_id = recorded.ticket_id
            if ticket_id in parked:
                continue
            try:
                row = self._projection.project(current.get(ticket_id), recorded)
            except Exception as error:  # an error of the projection concerns this ticket alone
                parked[ticket_id] = self._park(ticket_id, recorded.position, error)
                continue
            current[ticket_id] = row
            rows.append((ticket_id, row))
        change = ViewChange(
            self.position, events[-1].position, self._to_store(rows), list(parked.values())
        )
        return change, current

    def _current(self, events: Sequence[Recorded]) -> dict[str, Row | None]:
        """The rows that the events build on. A stream that begins with them needs no query."""
        first: dict[str, int] = {}
        for recorded in events:
            first.setdefault(recorded.ticket_id, recorded.version)
        known = {i: self._rows[i] for i in first if i in self._rows}
        missing = [i for i, version in first.items() if version > 1 and i not in known]
        return {**known, **(self._view.latest(missing) if missing else {})}

    def _to_store(self, rows: list[tuple[str, Row | None]]) -> Sequence[tuple[str, Row | None]]:
        return rows if self._projection.every else list(dict(rows).items())

    def _park(self, ticket_id: str, position: int, error: Exception) -> Parked:
        return park(ticket_id, position, error, self._clock())

    def _commit(self, change: ViewChange[Row], rows: dict[str, Row | None]) -> None:
        self._view.apply(change, self.fence)
        self._note(change, rows)

    def _note(self, change: ViewChange[Row], rows: dict[str, Row | None]) -> None:
        self.position = change.upto
        for parked in change.parked:
            _log.error(
                "ticket.parked projection=%s ticket=%s position=%s error=%r",
                self._projection.name,
                parked.ticket_id,
                parked.position,
                parked.error,
            )
        self._parked.update((parked.ticket_id, parked) for parked in change.parked)
        for ticket_id in change.released:
            self._parked.pop(ticket_id, None)
        for ticket_id, row in rows.items():
            self._rows[ticket_id] = row
            self._rows.move_to_end(ticket_id)
        while len(self._rows) > _REMEMBERED:
            self._rows.popitem(last=False)
