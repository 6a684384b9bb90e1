"""The server puts a latency into the same bucket as we do."""

import random

from storage.aggregates import BOUNDS_US, Latencies
from storage.clickhouse.reads.rollups import bucket_of
from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.native import Column


async def test_buckets_are_ours(link: Link) -> None:
    """At every bound, beside it, and at random places; null and what is negative are in the first."""
    chance = random.Random(7)
    values = [bound + beside for bound in BOUNDS_US for beside in (-1, 0, 1)]
    values += [-5, 0, 2**62, 2**63 - 1, *(int(2 ** chance.uniform(0, 40)) for _ in range(2000))]
    await link.execute("CREATE TABLE taken (us Nullable(Int64)) ENGINE = Memory", limit_s=30)
    await link.insert("taken", [Column("us", "Nullable(Int64)", values)], limit_s=30)
    found = await link.fetch(f"SELECT us, {bucket_of('us')} FROM taken", limit_s=30)
    assert len(found) == len(values)
    wrong = [
        (value, bucket) for value, bucket in found if Latencies.of([value]).counts != {bucket: 1}
    ]
    assert wrong == []
    assert await link.fetch(f"SELECT {bucket_of('toNullable(NULL)')}", limit_s=30) == [(0,)]
