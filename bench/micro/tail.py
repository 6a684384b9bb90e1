"""What the live tail costs: a commit without listeners, and the frames of one record."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from api.dialects.entries import encode_entries
from api.native.records import encode_record
from api.stream.tail import Tail
from bench.generate import make_record
from bench.micro.measure import Measure, measured
from storage.backends import open_storage
from storage.record import Batch, Entry, Record

RECORDS = 3000
"""A full batch."""


def measures() -> Iterator[Measure]:
    """Time the parts, per record."""
    records = [make_record(number, RECORDS, 1) for number in range(RECORDS)]
    tail = asyncio.run(_make_tail())
    place = 0

    def commit() -> int:
        nonlocal place
        tail.on_commit(_batch(records, place))
        place += RECORDS
        return RECORDS

    yield measured("commit, nobody listens", commit)
    yield measured("frames of both entries", lambda: sum(1 for record in records if encode_entries(record)))
    yield measured("frame of the whole record", lambda: sum(1 for record in records if encode_record(record)))


def _batch(records: list[Record], place: int) -> Batch:
    for number, record in enumerate(records, place + 1):
        record.seq = number
    return Batch("bench", [Entry(record) for record in records])


async def _make_tail() -> Tail:
    with TemporaryDirectory() as directory:
        return Tail(await open_storage("memory:", Path(directory)))
