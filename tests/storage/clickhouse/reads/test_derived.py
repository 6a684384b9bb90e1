"""What the server makes of a row's columns when it is inserted is what we would."""

from typing import Any

from storage.aggregates import BOUNDS_US, Latencies
from storage.clickhouse.link import Link
from storage.clickhouse.reads.derived import DERIVED
from storage.clickhouse.tables import create
from storage.clickhouse.writes.batches import BatchStore
from storage.record import Batch, Entry
from storage.relational.time_ranges import HOUR_US
from tests.storage.samples import make_record

_ROWS: list[dict[str, Any]] = [
    {"started_at_us": 7 * HOUR_US, "status": 404, "duration_us": 0, "first_byte_us": None},
    {"started_at_us": 8 * HOUR_US - 1, "status": None, "duration_us": 1234, "first_byte_us": 1},
    {"started_at_us": 2**63 - 1, "status": 999, "duration_us": 2**63 - 1, "first_byte_us": BOUNDS_US[-1] + 1},
    {"started_at_us": 0, "status": 99, "duration_us": BOUNDS_US[40], "first_byte_us": BOUNDS_US[41]},
]


async def test_derived_columns(link: Link) -> None:
    """Hour, first digit of the status, and the bucket of both latencies."""
    await BatchStore(link, await create(link)).store(Batch("a", [Entry(make_record(**row)) for row in _ROWS]))
    columns = [name for name in DERIVED if name != "trace_hash"]
    found = await link.fetch(f"SELECT {', '.join(columns)} FROM records ORDER BY seq", limit_s=30)
    assert found == [
        (
            row["started_at_us"] // HOUR_US,
            (row["status"] or 0) // 100,
            *(bucket for name in ("duration_us", "first_byte_us") for bucket in Latencies.of([row[name] or 0]).counts),
        )
        for row in _ROWS
    ]
