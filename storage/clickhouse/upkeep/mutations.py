"""Taking rows, or what is in them, out of the server's parts: it writes those anew, in its own time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from storage.clickhouse.payloads import BODIES
from storage.clickhouse.wire.link import LIMIT_S, Link
from storage.errors import StorageUnavailable

WITHOUT_BODIES: Final = "UPDATE " + ", ".join(f"{column} = ''" for column in BODIES)
_RUNNING: Final = (
    "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'records' AND is_done = 0"
)
_LOOK_AGAIN_S: Final = 0.05


async def mutate(link: Link, command: str, parameters: Sequence[Any] = (), *, limit_s: float) -> None:
    """Run a command of ALTER TABLE, and wait until parts are as it says.

    Raises:
        StorageUnavailable: They are not, within the limit; the server goes on by itself.
    """
    await link.execute(f"ALTER TABLE records {command}", parameters, limit_s=LIMIT_S)
    ends_at = time.monotonic() + limit_s
    while await is_busy(link):
        if time.monotonic() > ends_at:
            raise StorageUnavailable(f"clickhouse: the server still writes parts of records anew after {limit_s:g} s")
        await asyncio.sleep(_LOOK_AGAIN_S)


async def is_busy(link: Link) -> bool:
    """Whether a server of the shard that answers is still writing parts anew."""
    return any(rows and rows[0][0] for rows in await link.fetch_each(_RUNNING, limit_s=LIMIT_S))
