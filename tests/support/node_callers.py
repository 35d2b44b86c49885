"""A node process with the clients that old callers use: `socket.io-client` and mongoose."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.support.npm import has_node, install
from tests.support.server import until

_FOLDER: Final = Path(__file__).with_name("node")


class NodeCallers:
    """Commands to `node/old_callers.mjs`, each answered in its own time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        Thread(target=self._hear, daemon=True).start()

    def begin(self, command: str, **parts: Any) -> int:
        """Send a command; `answer` to its number waits for what becomes of it."""
        assert self._process.stdin
        number = next(self._numbers)
        self._process.stdin.write(json.dumps({"id": number, "command": command} | parts) + "\n")
        self._process.stdin.flush()
        return number

    def answer(self, number: int) -> Any:
        until(lambda: number in self._answers or self._process.poll() is not None, seconds=60)
        told = self._answers.pop(number)
        assert "error" not in told, told["error"]
        return told["answer"]

    def ask(self, command: str, **parts: Any) -> Any:
        return self.answer(self.begin(command, **parts))

    def connect(self, name: str, url: str, **options: Any) -> Any:
        return self.ask("connect", name=name, url=url, options=options)

    def emit(self, name: str, event: str, *args: Any) -> Any:
        """What the acknowledgement got."""
        return self.ask("emit", name=name, event=event, args=args)

    def _hear(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            self._answers[told["id"]] = told


@contextmanager
def node_callers() -> Iterator[NodeCallers]:
    """The process, until the block ends. Its packages are installed when they are not there."""
    if not has_node():
        raise RuntimeError(
            "There is no node or npm here, and the old callers' own clients need both: "
            "install Node.js 20 or newer."
        )
    install(_FOLDER)
    with subprocess.Popen(
        ["node", "old_callers.mjs"],
        cwd=_FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield NodeCallers(process)
        finally:
            process.kill()
