"""`ticketbook`, as an operator runs it: by default in this process, which spares each test the
start of Python; in a process of its own where the process is the point."""

import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import Lock, current_thread, main_thread
from types import ModuleType
from typing import Final, TextIO
from unittest.mock import patch

import structlog

from api.cli.main import main
from api.cli.output import LINE, Line

COMMAND: Final = Path(sys.executable).with_name("ticketbook")
"""The installed program."""

Outcome = tuple[int, str, str]
"""Exit code, stdout and stderr."""

_PATIENCE: Final = 120.0
"""Seconds in which a command in a process of its own must end."""

_RUNNING: Final = Lock()


def run(*arguments: str, store: str | None = None, stdin: str = "", **environment: str) -> Outcome:
    """Run a command in this process, with no setting but `environment` and `store`. Neither of its
    streams is a terminal. Everything that it changes in this process is put back."""
    out, err = BytesIO(), BytesIO()
    with (
        TextIOWrapper(out, write_through=True) as stdout,
        TextIOWrapper(err, write_through=True) as stderr,
    ):
        code = run_on(stdout, stderr, *arguments, store=store, stdin=stdin, **environment)
        return code, _text(stdout, out), _text(stderr, err)


def run_on(
    stdout: TextIO | None,
    stderr: TextIO | None,
    *arguments: str,
    store: str | None = None,
    stdin: str = "",
    **environment: str,
) -> int:
    """The same on these streams; None is a closed one. The exit code."""
    if not _RUNNING.acquire(blocking=False):
        raise RuntimeError("A process runs one command at a time: use `run_process` beside it.")
    try:
        with (
            _process_as_before(),
            _environment(clean_environment(store, environment)),
            patch.object(sys, "argv", [str(COMMAND), *arguments]),
            # the program is not pytest: neither in its own words nor for the processes it starts
            patch.dict(sys.modules, {"__main__": ModuleType("__main__")}),
            patch.object(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode()))),
            patch.object(sys, "stdout", stdout),
            patch.object(sys, "stderr", stderr),
        ):
            return copy_context().run(_exit_code)
    finally:
        _RUNNING.release()


def run_process(
    *arguments: str, store: str | None = None, stdin: str = "", **environment: str
) -> Outcome:
    """Run a command in a process of its own, with no setting but `environment` and `store`."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env=clean_environment(store, environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def start_process(
    *arguments: str, store: str | None = None, **environment: str
) -> "subprocess.Popen[str]":
    """Start a command in a process of its own; its three streams are pipes."""
    return subprocess.Popen(
        [COMMAND, *arguments],
        env=clean_environment(store, environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def clean_environment(store: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has these settings and no others."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TICKETBOOK_")}
    return clean | ({"TICKETBOOK_STORE": store} if store else {}) | dict(environment)


def _exit_code() -> int:
    """Run `main` as the interpreter does."""
    try:
        main()
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _text(stream: TextIOWrapper, content: BytesIO) -> str:
    """The content of a stream, as a pipe to a process would be read."""
    stream.flush()
    return content.getvalue().decode().replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """The environment of this process until the block ends. A variable that stays is not touched:
    other threads may be reading it."""
    before = dict(os.environ)
    _change(before, wanted)
    try:
        yield
    finally:
        _change(dict(os.environ), before)


def _change(present: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name in present.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if present.get(name) != value:
            os.environ[name] = value


@contextmanager
def _process_as_before() -> Iterator[None]:
    """Put back what commands set for the whole process: logging, signals, the progress line."""
    with ExitStack() as stack:
        root = logging.getLogger()
        handlers, level = root.handlers, root.level
        levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
        configured, configuration = structlog.is_configured(), structlog.get_config()
        root.handlers = []  # not closed by the command, and not told what it logs
        stack.callback(setattr, root, "handlers", handlers)
        stack.callback(root.setLevel, level)
        for name, before in levels.items():
            stack.callback(logging.getLogger(name).setLevel, before)
        restore = structlog.configure if configured else structlog.reset_defaults
        stack.callback(restore, **(configuration if configured else {}))
        stack.callback(setattr, sys, "excepthook", sys.excepthook)
        if current_thread() is main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.getsignal(number))
        vars(LINE).update(vars(Line()))
        stack.callback(vars(LINE).update, vars(Line()))
        yield
