"""The zone of the times a person gives and is shown: that of the machine, or UTC where asked for. Pure.

The API takes a time without an offset for UTC. Tables show local times, and what is copied from a table must mean the
same moment, so the offset is written out before a filter is sent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Final

_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?", re.ASCII)
_TIMES: Final = ("since", "until")


def zone_of(is_utc: bool) -> tzinfo | None:
    """Return the zone of the tables; None is the machine's."""
    return UTC if is_utc else None


def zone_name(zone: tzinfo | None, now: datetime | None = None) -> str:
    """Name a zone as it is now, `UTC` or `UTC+02:00`; None is the machine's."""
    offset = (now or datetime.now(UTC)).astimezone(zone).strftime("%z")
    return "UTC" if int(offset) == 0 else f"UTC{offset[:3]}:{offset[3:5]}"


def with_offsets(filters: Mapping[str, str | list[str]], zone: tzinfo | None) -> dict[str, str | list[str]]:
    """Write the zone's offset into the filter's times that have none; anything else stays, the API judges it."""
    return {
        name: _with_offset(value, zone) if name in _TIMES and isinstance(value, str) else value
        for name, value in filters.items()
    }


def _with_offset(text: str, zone: tzinfo | None) -> str:
    if not _NAIVE.fullmatch(text.strip()):
        return text
    try:
        moment = datetime.fromisoformat(text.strip().replace(",", "."))
    except ValueError:
        return text
    return (moment.replace(tzinfo=zone) if zone else moment.astimezone()).isoformat()
