"""How far retention has come, and how much space is in use."""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

from typing import Final

from storage.clickhouse.cluster import Shards
from storage.clickhouse.numbers import DAY
from storage.clickhouse.upkeep.purge import first_row
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.wire.link import LIMIT_S
from storage.clickhouse.writes.rows import CALL
from storage.purge import RetentionState

_SIZE: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active"
_OLDEST: Final = (
    f"SELECT count(), min(started_at_us), toInt64(toUnixTimestamp(now())) FROM records WHERE kind < {CALL} "
    f"AND seq < (SELECT min(seq) FROM records WHERE kind < {CALL}) + {DAY}"
)


async def size_bytes(shards: Shards) -> int:
    """Measure what the shards that are there have, each of one replica."""
    return sum(int(size or 0) for (size,) in await shards.there(_SIZE))


async def retention(shards: Shards, upkeep: Upkeep, last_seq: int) -> RetentionState:
    """Describe the store, the end of whose stable prefix is `last_seq`."""
    first = await first_row(shards.reads, upkeep)
    [(rows, oldest_us, now_s)] = await shards.reads.fetch(_OLDEST, limit_s=LIMIT_S)
    return RetentionState(
        purge_floor_us=upkeep.purge_floor_us,
        body_floor_us=upkeep.body_floor_us,
        purged_through_seq=upkeep.purged_through_seq,
        oldest_us=int(oldest_us) if rows else None,
        used_bytes=max(0, await size_bytes(shards) - upkeep.hidden_bytes),
        last_seq=last_seq,
        reaches_back_us=None if first is None else first[1],
        server_now_us=int(now_s) * 1_000_000,
    )
