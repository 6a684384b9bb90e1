"""The time zone of given and shown times: the machine's, or UTC on request.

The API takes a time without an offset as UTC. Tables show local times, and a time copied from a
table must mean the same moment, so the offset is added before a filter is sent. Days and times of
day are in this zone. A time of day alone is the latest one; if both ends of a period are times of
day, the end is the first one after the beginning.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from proxy.cli.commands.output import CommandError
from storage.search.language.moments import moment_us

_NAIVE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?", re.ASCII
)
_TIME_OF_DAY: Final = re.compile(r"\d\d?:\d\d(?::\d\d)?", re.ASCII)
_HOUR: Final = re.compile(r" (\d:)")
_DAYS: Final = {"today": 0, "yesterday": 1}
_TIMES: Final = ("since", "until")


def zone_of(is_utc: bool) -> tzinfo | None:
    """Return the zone of tables; None is the machine's."""
    if is_utc:
        return UTC
    return None


def zone_name(zone: tzinfo | None, now: datetime | None = None) -> str:
    """Return the current name of a zone, `UTC` or `UTC+02:00`; None is the machine's."""
    offset = (now or datetime.now(UTC)).astimezone(zone).strftime("%z")
    if int(offset) == 0:
        return "UTC"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def with_offsets(
    filters: Mapping[str, str | list[str]], zone: tzinfo | None, now: datetime | None = None
) -> dict[str, str | list[str]]:
    """Complete the filter's times without offset or date; other text stays, the API judges it.

    Raises:
        CommandError: the period ends before it begins.
    """
    now = (now or datetime.now(UTC)).astimezone(zone)
    moments: dict[str, datetime] = {}
    for name in _TIMES:
        value = filters.get(name)
        if not isinstance(value, str):
            continue
        if moment := _moment(value.strip(), zone, now):
            moments[name] = moment

    if len(moments) == len(_TIMES) and all(
        _TIME_OF_DAY.fullmatch(str(filters[name]).strip()) for name in _TIMES
    ):
        moments["until"] += timedelta(days=moments["until"] <= moments["since"])

    written = {**filters} | {name: moment.isoformat() for name, moment in moments.items()}
    since, until = (_us(written.get(name), now) for name in _TIMES)
    if since is not None and until is not None and since > until:
        text = (
            f"the period is empty: --until {filters['until']} is before --since {filters['since']}"
        )
        raise CommandError(text, exit_code=2)

    return written


def yesterday_notice(
    filters: Mapping[str, str | list[str]], written: Mapping[str, str | list[str]], now: datetime
) -> str:
    """Return a notice if a time of day is one of yesterday; otherwise empty."""
    for name in _TIMES:
        given = str(filters.get(name, "")).strip()
        if _TIME_OF_DAY.fullmatch(given):
            moment = datetime.fromisoformat(str(written[name]))
            if moment.date() < now.astimezone(moment.tzinfo).date():
                return f"--{name} {given} is that of yesterday, {moment:%Y-%m-%d %H:%M}"
    return ""


def _us(value: str | list[str] | None, now: datetime) -> int | None:
    """Parse a time as the API does, in Unix µs; None if the API would refuse it."""
    try:
        if value:
            return moment_us(str(value), int(now.timestamp() * 1e6))
        return None
    except ValueError:
        return None


def _moment(text: str, zone: tzinfo | None, now: datetime) -> datetime | None:
    """Parse a time without an offset, a day, or a time of day; None for other text."""
    day, _, clock = text.partition(" ")
    is_time_of_day = _TIME_OF_DAY.fullmatch(text) is not None
    if day in _DAYS:
        text = f"{now - timedelta(days=_DAYS[day]):%Y-%m-%d} {clock or '00:00'}"
    elif is_time_of_day:
        text = f"{now:%Y-%m-%d} {text}"

    if not _NAIVE.fullmatch(text):
        return None

    try:
        moment = datetime.fromisoformat(_HOUR.sub(r" 0\1", text.replace(",", ".")))
    except ValueError:
        return None

    if is_time_of_day and moment > now.replace(tzinfo=None):
        moment -= timedelta(days=1)
    if zone:
        return moment.replace(tzinfo=zone)

    return moment.astimezone()
