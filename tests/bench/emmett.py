"""`@event-driven-io/emmett-mongodb`, in a node process of its own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

from tests.bench.load import Contestant, Sample, sample
from tests.bench.setup import NotHere

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
    """Into a folder that git ignores, once."""
    if not (which("npm") and which("node")):
        raise NotHere("npm is not installed")
    if (_FOLDER / "node_modules" / "@event-driven-io" / "emmett-mongodb").is_dir():
        return
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--legacy-peer-deps", "--no-package-lock", "--no-audit"]
    try:
        subprocess.run(
            [*command, "--no-fund", "--silent", *_PACKAGES],
            cwd=_FOLDER,
            check=True,
            capture_output=True,
            timeout=90,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotHere("npm could not install emmett-mongodb") from error
