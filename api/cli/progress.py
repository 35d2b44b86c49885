"""How far long work is: one line on stderr that is written over."""

from time import monotonic
from typing import Final

from api.cli.output import LINE

_SECONDS: Final = 0.2


class Meter:
    """Shows position, rate and time left, a few times a second at most."""

    def __init__(self) -> None:
        self._what = ""
        self._began = self._shown = self._last = monotonic()

    def tell(self, what: str, done: int, total: int, also: str = "") -> None:
        """`done` of `total` of `what` are done; `also` is added to the line."""
        before, self._last = self._last, monotonic()
        now = self._last
        if what != self._what:
            self.end()
            self._what, self._began = what, before
        elif now - self._shown < _SECONDS and done < total:
            return
        self._shown = now
        rate = done / max(now - self._began, 1e-3)
        left = (total - done) / max(rate, 1e-9)
        line = f"{what}: {done:,} of {total:,}"
        if done:  # before that, nobody can tell
            line += f", {rate:,.0f}/s, {left:.0f} s left"
        LINE.show(f"{line}; {also}" if also else line)

    def end(self) -> None:
        """Leave the line as it is: what follows goes to the next one."""
        LINE.end()
