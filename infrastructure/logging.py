"""Logging: one line per event on stderr, JSON for machines or colours for people.

Lines of libraries get the same form. Credentials are masked anywhere in the finished line, and
tracebacks never show the values of variables. On a terminal, text from callers is escaped.
"""

import logging
import sys
from io import StringIO
from typing import Any, Final, TextIO

import structlog
from structlog.types import EventDict, ExcInfo, Processor, WrappedLogger

from infrastructure.terminal import masked, printable

_TALKATIVE: Final = ("engineio", "socketio", "uvicorn.error", "watchfiles.main")
"""Libraries whose everyday lines are of no use to an operator."""


def configure_logging(json: bool, level: int = logging.INFO) -> None:
    """Send all logging to stderr from now on, as JSON or as coloured lines for a person."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(json),
                _mask,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)


def _renderers(json: bool) -> list[Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    renderer = structlog.dev.ConsoleRenderer(
        colors=True, repr_native_str=True, exception_formatter=_traceback
    )
    return [_escape, renderer]


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape the event and the stack, which the renderer does not. Afterwards the line holds
    control characters of its own: the colours."""
    for key, keep in (("event", ""), ("stack", "\n")):
        if key in event:
            event[key] = printable(str(event[key]), keep)
    return event


def _traceback(into: TextIO, raised: ExcInfo) -> None:
    written = StringIO()
    structlog.dev.plain_traceback(written, raised)
    into.write(printable(written.getvalue(), keep="\n"))


def _mask(_logger: WrappedLogger, _method: str, line: EventDict | str) -> Any:
    return masked(str(line))
