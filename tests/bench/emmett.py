"""`@event-driven-io/emmett-mongodb`, in a node process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.load import Contestant, Sample, sample
from tests.bench.setup import NotHere
from tests.support.npm import has_node, install

_PACKAGES: Final = ("@event-driven-io/emmett-mongodb@0.42", "mongodb@6", "uuid", "async-retry")
_SCRIPT: Final = Path(__file__).with_name("emmett.mjs")
_FOLDER: Final = Path(__file__).parents[2] / "var" / "bench" / "emmett"


@contextmanager
def emmett(uri: str, name: str, state: bytes, writers: int) -> Iterator[Contestant]:
    """`writers` concurrent writers, each appending one event to a new stream at a time."""
    _install()
    command = ["node", str(_SCRIPT), str(_FOLDER), uri, name, state.decode()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin and process.stdout
        requests, answers = process.stdin, process.stdout

        def run(seconds: float) -> Sample:
            requests.write(f"{writers} {seconds}\n")
            if not (line := answers.readline()):
                raise RuntimeError("the node process ended early; its error is above")
            answer = json.loads(line)
            return sample(answer["milliseconds"], answer["seconds"])

        try:
            yield run
        finally:
            process.kill()


def _install() -> None:
    """Into a folder that git ignores."""
    if not has_node():
        raise NotHere("npm is not installed")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    package = _FOLDER / "package.json"
    if not package.exists():
        package.write_text('{"private": true}\n')
    try:
        install(_FOLDER, "--legacy-peer-deps", *_PACKAGES)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotHere("npm could not install emmett-mongodb") from error
