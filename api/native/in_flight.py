"""Exchanges in flight, filtered as the store filters stored ones, so that a list may show both. Pure."""

from collections.abc import Sequence

from storage.query import Filter, matches
from storage.record import Record


def select_in_flight(filter: Filter, records: Sequence[Record], limit: int) -> list[Record]:
    """Choose those that match, newest first, at most `limit`; a bound on the duration, not yet known, matches none."""
    if filter.min_duration_us is not None or filter.max_duration_us is not None:
        return []
    found = [record for record in records if matches(filter, record)]
    found.sort(key=lambda record: record.id, reverse=True)
    return found[:limit]
