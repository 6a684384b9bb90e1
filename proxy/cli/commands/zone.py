"""The zone of the times a person gives and is shown: that of the machine, or UTC where asked for.
Pure.

The API takes a time without an offset for UTC. Tables show local times, and what is copied from a
table must mean the same moment, so the offset is written out before a filter is sent. Days and
times of day are those of the zone; a time of day alone is the last one, and where both ends of a
period are one, its end is the first after its beginning.
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
    """Return the zone of the tables; None is the machine's."""
    return UTC if is_utc else None


def zone_name(zone: tzinfo | None, now: datetime | None = None) -> str:
    """Name a zone as it is now, `UTC` or `UTC+02:00`; None is the machine's."""
    offset = (now or datetime.now(UTC)).astimezone(zone).strftime("%z")
    if int(offset) == 0:
        return "UTC"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def with_offsets(
    filters: Mapping[str, str | list[str]], zone: tzinfo | None, now: datetime | None = None
) -> dict[str, str | list[str]]:
    """Write the filter's times that have no offset or no date in full; anything else stays, the API
    judges it.

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
    """Say of a time of day that it is one of yesterday; empty where none is."""
    for name in _TIMES:
        given = str(filters.get(name, "")).strip()
        if _TIME_OF_DAY.fullmatch(given):
            moment = datetime.fromisoformat(str(written[name]))
            if moment.date() < now.astimezone(moment.tzinfo).date():
                return f"--{name} {given} is that of yesterday, {moment:%Y-%m-%d %H:%M}"
    return ""


def _us(value: str | list[str] | None, now: datetime) -> int | None:
    """Read a time as the API does, in Unix µs; None for what it refuses."""
    try:
        if value:
            return moment_us(str(value), int(now.timestamp() * 1e6))
        return None
    except ValueError:
        return None


def _moment(text: str, zone: tzinfo | None, now: datetime) -> datetime | None:
    """Read a time without an offset, a day, or a time of one; None for anything else."""
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
