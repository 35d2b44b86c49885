"""Moments and days as people say them: 2025-10-28, yesterday, 7d, last week. Each command that
takes one says which moment it took, where the text alone does not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Final

import typer

from api.cli.output import say
from api.wire.fields import iso
from api.wire.moments import day_of, moment_of, when_of
from domain.origin import MILLISECOND

WORDS: Final = "yesterday, 7d, 12h, last week"
WHEN: Final = "WHEN"
DAYS: Final = "a day like 2025-10-28, today, yesterday, last week or last month"

Zone = Annotated[
    str, typer.Option("--tz", metavar="ZONE", help="Time zone of days and times, like Europe/Rome.")
]
On = Annotated[str | None, typer.Option("--on", metavar="DAY", help=f"All of {DAYS}.")]

_AGO: Final = re.compile(r"([0-9]{1,6}) ?([mhdw])( ago)?")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` on, up to `end`, itself left out; both in UTC."""

    start: datetime
    end: datetime

    @property
    def last(self) -> datetime:
        """The last moment of it."""
        return self.end - MILLISECOND

    @property
    def before(self) -> datetime | None:
        """The last moment before it; None where there is none."""
        return self.start - MILLISECOND if self.start > _FIRST else None


@dataclass(frozen=True, slots=True)
class Times:
    """Reads what the options of one command say, in one time zone, at one moment."""

    zone: tzinfo
    clock: Callable[[], datetime]

    def moment(self, text: str | None, option: str) -> datetime | None:
        """The moment, None for None. Wrong text is wrong usage of `option`."""
        if text is None:
            return None
        try:
            if span := self._span(text):
                return self._meant(text, span.start, option)
            if ago := self._ago(text):
                return self._meant(text, ago, option)
            return moment_of(text, self.zone)
        except (ValueError, OverflowError) as error:
            raise _wrong(text, error, option) from None

    def when(self, text: str, option: str) -> int | datetime:
        """A position, or a moment."""
        try:
            if self._span(text) is None and self._ago(text) is None:
                return when_of(text, self.zone)
        except (ValueError, OverflowError) as error:
            raise _wrong(text, error, option) from None
        moment = self.moment(text, option)
        assert moment is not None
        return moment

    def span(self, text: str, option: str) -> Span:
        """All of a day, a week or a month."""
        try:
            span = self._span(text)
            if span is None:
                raise ValueError(f"That is not a day. Write {DAYS}.")
        except (ValueError, OverflowError) as error:
            raise _wrong(text, error, option) from None
        if not self._plain(text):
            say(f"{option} {text} means {iso(span.start)} to {iso(span.last)}.")
        return span

    def range(
        self, since: str | None, before: str | None, on: str | None
    ) -> tuple[datetime | None, datetime | None]:
        """What the three options mean together."""
        if on is None:
            return self.moment(since, "--since"), self.moment(before, "--before")
        if since is not None or before is not None:
            raise typer.BadParameter(
                "it stands for both: leave out --since and --before.", param_hint="'--on'"
            )
        span = self.span(on, "--on")
        return span.start, span.end

    def _meant(self, text: str, moment: datetime, option: str) -> datetime:
        if option.startswith("--") and self._plain(text):
            return moment  # a day begins where everybody thinks
        hint = f" --on '{text}' means the end of it." if option == WHEN and self._span(text) else ""
        say(f"{option} {text} means {iso(moment)}.{hint}")
        return moment

    def _plain(self, text: str) -> bool:
        return text[0].isdigit() and "-" in text and self.zone is UTC

    def _ago(self, text: str) -> datetime | None:
        if text == "now":
            return self.clock()
        match = _AGO.fullmatch(text)
        return self.clock() - int(match[1]) * _UNITS[match[2]] if match else None

    def _span(self, text: str) -> Span | None:
        """None when the text is no name of a day, a week or a month."""
        today = self.clock().astimezone(self.zone).date()
        monday = today - timedelta(days=today.weekday())
        first = today.replace(day=1)
        match text.casefold():
            case "today":
                days = today, today + timedelta(days=1)
            case "yesterday":
                days = today - timedelta(days=1), today
            case "this week":
                days = monday, monday + timedelta(days=7)
            case "last week":
                days = monday - timedelta(days=7), monday
            case "this month":
                days = first, (first + timedelta(days=31)).replace(day=1)
            case "last month":
                days = (first - timedelta(days=1)).replace(day=1), first
            case _ if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                day = day_of(text)
                days = day, day + timedelta(days=1)
            case _:
                return None
        return Span(*map(self._begin, days))

    def _begin(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


def times(zone: str, clock: Callable[[], datetime]) -> Times:
    """Raises `BadParameter` when there is no such time zone."""
    if zone.upper() == "UTC":
        return Times(UTC, clock)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return Times(ZoneInfo(zone), clock)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            f"there is no time zone {zone[:100]!r} here. Write it like Europe/Rome.",
            param_hint="--tz",
        ) from None


def _wrong(text: str, error: Exception, option: str) -> typer.BadParameter:
    reason = error if isinstance(error, ValueError) else "That is beyond the years 1 to 9999."
    return typer.BadParameter(f"{text[:200]!r}: {reason}", param_hint=f"'{option}'")
