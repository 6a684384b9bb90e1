"""The server's parts: days of numbers, which go at once, and parts that it writes anew, in its own
time.

A day is a partition, dropped where nothing in it is shown.

Invariant: the days in which sidecars that run have their newest positions stay, and so does the
newest number.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from storage.clickhouse.engine.server import Server
from storage.clickhouse.numbers import DAY, DAY_MS
from storage.clickhouse.payloads import BODIES
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.wire.link import LIMIT_S, Link
from storage.errors import StorageUnavailable

WITHOUT_BODIES: Final = "UPDATE " + ", ".join(f"{column} = ''" for column in BODIES)
_RUNNING: Final = (
    "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = "
    "'records' AND is_done = 0"
)
_KNOWN: Final = (
    "SELECT max(mutation_id), countIf(is_done = 0) FROM system.mutations WHERE database = "
    "currentDatabase() AND table = 'records'"
)
_SHARED_PATH: Final = (
    "SELECT zookeeper_path FROM system.replicas WHERE database = currentDatabase() AND table = "
    "'records'"
)
_NEWEST: Final = "SELECT max(name) FROM system.zookeeper WHERE path = $1"
_LOOK_AGAIN_S: Final = 0.05
KEPT_DAYS: Final = 2
"""Days before this one that are never dropped: an idle sidecar writes its positions anew every day.
"""
_LISTED: Final = (
    "SELECT toInt64(partition), sum(rows), sum(bytes_on_disk) FROM system.parts WHERE database = "
    "currentDatabase() "
    "AND table = 'records' AND active GROUP BY partition ORDER BY toInt64(partition)"
)
_SHOWN: Final = (
    "SELECT seq FROM records WHERE seq BETWEEN $1 AND $2 AND seq > $3 AND started_at_us >= $4 AND "
    "writer = '' LIMIT 1"
)


class Day(NamedTuple):
    """The rows whose numbers are of one day."""

    number: int
    rows: int
    size_bytes: int

    @property
    def ends(self) -> tuple[int, int]:
        """Return the first and the last number."""
        return self.number * DAY, (self.number + 1) * DAY - 1


async def listed(link: Link) -> list[Day]:
    """List what there is, the oldest first."""
    return [Day(*row) for row in await link.fetch(_LISTED, limit_s=LIMIT_S)]


async def drop_days(link: Link, server: Server, upkeep: Upkeep) -> list[int]:
    """Drop the oldest days, up to the first in which something is shown; returns their numbers."""
    [(now_ms,)] = await link.fetch(f"SELECT {server.now_ms}", limit_s=LIMIT_S)
    first_kept = now_ms // DAY_MS - KEPT_DAYS
    dropped: list[int] = []

    for day in (await listed(link))[:-1]:
        shown = (*day.ends, upkeep.purged_through_seq, upkeep.first_shown_us)
        if day.number >= first_kept or await link.fetch(_SHOWN, shown, limit_s=LIMIT_S):
            break
        await link.execute(f"ALTER TABLE records DROP PARTITION {day.number}", limit_s=LIMIT_S)
        dropped.append(day.number)

    return dropped


async def mutate(
    link: Link, command: str, parameters: Sequence[Any] = (), *, limit_s: float
) -> None:
    """Run a command of ALTER TABLE, and wait until parts are as it says.

    Raises:
        StorageUnavailable: They are not, within the limit; the server goes on by itself.
    """
    await link.execute(f"ALTER TABLE records {command}", parameters, limit_s=LIMIT_S)
    newest = await _newest_mutation(link)
    ends_at = time.monotonic() + limit_s
    while not await _is_done(link, newest):
        if time.monotonic() > ends_at:
            raise StorageUnavailable(
                f"clickhouse: the server still writes parts of records anew after {limit_s:g} s"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _newest_mutation(link: Link) -> str:
    """Return the name of the newest command that replicas share; empty where there are none.

    Replicas take commands from the coordinator in their own time, the one that was asked as well:
    until then a replica says that it has nothing to do.
    """
    shared = await link.fetch(_SHARED_PATH, limit_s=LIMIT_S)
    if not shared:
        return ""
    [(path,)] = shared
    [(newest,)] = await link.fetch(_NEWEST, (f"{path}/mutations",), limit_s=LIMIT_S)
    return str(newest)


async def _is_done(link: Link, newest: str) -> bool:
    """Whether each server of the shard that answers has carried out commands up to one."""
    answers = await link.fetch_each(_KNOWN, limit_s=LIMIT_S)
    return all(known >= newest and not waiting for [(known, waiting)] in filter(None, answers))


async def is_busy(link: Link) -> bool:
    """Whether a server of the shard that answers is still writing parts anew."""
    return any(rows and rows[0][0] for rows in await link.fetch_each(_RUNNING, limit_s=LIMIT_S))
