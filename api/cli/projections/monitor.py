"""How a command follows a task: it shows the progress, and waits aloud."""

from collections.abc import Callable
from time import sleep

import typer

from api.cli.output import Exit, say
from projections.versions.outcome import Step


class CommandMonitor:
    """Hands each step to `show`. A command is interrupted from the keyboard."""

    def __init__(self, projection: str, show: Callable[[Step], None] = lambda _: None) -> None:
        self._projection = projection
        self._show = show

    def tell(self, step: Step) -> None:
        self._show(step)

    def check(self) -> None:
        """Nobody interrupts a command but from the keyboard."""

    def wait(self, seconds: float) -> None:
        """Say what for, and what to do when it is interrupted."""
        try:
            say(f"{self._projection}: waiting {seconds:.0f} s until nobody reads it.")
            sleep(seconds)
        except KeyboardInterrupt:
            drop = f"ticketbook projections drop-old {self._projection}"
            say(f"Interrupted. {drop} deletes what is left.")
            raise typer.Exit(Exit.INTERRUPTED) from None
