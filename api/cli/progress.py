"""How far long work is: one line on stderr that is written over."""

from time import monotonic

from api.cli.output import LINE


class Meter:
    """Shows how far work is, how fast it goes and how long it will take. The time of each kind of
    work begins where the one before it ended."""

    def __init__(self) -> None:
        self._what = ""
        self._began = self._last = monotonic()

    def tell(self, what: str, done: int, total: int, also: str = "") -> None:
        """`done` of `total` of `what` are done; `also` is added to the line."""
        line = with_rate(f"{what}: {done:,} of {total:,}", done, self._rate(what, done), total)
        LINE.show(f"{line}; {also}" if also else line)

    def position(self, position: int, head: int) -> None:
        """The events up to `position` of `head` are done."""
        rate = self._rate("position", position)
        LINE.show(with_rate(f"position {position} of {head}", position, rate, head, " events"))

    def lines(self, count: int) -> None:
        """So many lines are done; nobody knows of how many."""
        rate = self._rate("lines", count)
        LINE.show(with_rate(f"{count} lines", count, rate, unit=" lines"))

    def end(self) -> None:
        """Leave the line as it is, and go on at the next one."""
        LINE.end()

    def _rate(self, what: str, done: int) -> float:
        """How many a second."""
        before, self._last = self._last, monotonic()
        if what != self._what:
            self.end()
            self._what, self._began = what, before
        return done / max(self._last - self._began, 1e-3)


def with_rate(text: str, done: int, rate: float, total: int | None = None, unit: str = "") -> str:
    """The text with the rate, and the seconds left where there is a total; alone as long as
    nothing is done, for then nobody can tell."""
    if not done:
        return text
    left = f", {(total - done) / max(rate, 1e-9):.0f} s left" if total is not None else ""
    return f"{text}, {rate:,.0f}{unit}/s{left}"
