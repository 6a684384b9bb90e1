"""Whole logs, and every choice of entries from them."""

from api.dialects.entries import Halves
from storage.record import Record
from tests.api.samples import make_event, make_record

HALVES = [
    Halves(),
    Halves(event=False),
    Halves(request=False, event=False),
    Halves(response=False, event=False),
    Halves(request=False),
    Halves(response=False),
    Halves(request=False, response=False),
]


def make_log(kinds: list[bool]) -> list[Record]:
    """Make records as the store numbers them: True is an exchange, False an event."""
    records = [
        make_record(n) if is_exchange else make_event(n) for n, is_exchange in enumerate(kinds, 1)
    ]
    for seq, record in enumerate(records, 1):
        record.seq = seq
    return records
