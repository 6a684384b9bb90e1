"""Who may commit: epochs, each begun by one writer, after which no commit of an older one can happen.

Strategy: an epoch is a table, because to create one is the only step that every server does for exactly one of two who
want it. Commits say in their statement of which epoch they are, and the server stores nothing where a newer one has
begun (`IS_NEWEST`). Who begins an epoch waits until no commit of an older one is running: what starts later sees it.
A writer leaves an epoch to whoever has it until that one had a turn, a commit, or gave it up; or has done nothing for
`PATIENCE_S`, as one that was killed.

Invariant: when `begin` returns, what was committed before is settled, and nobody else commits until a newer epoch.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final
from uuid import uuid4

from storage.clickhouse.answers import AlreadyThere
from storage.clickhouse.link import Link
from storage.clickhouse.native import Column
from storage.errors import StorageUnavailable

PATIENCE_S: Final = 5.0
"""How long an epoch in which nothing happens is left to its writer."""
LIMIT_S: Final = 10.0
"""Of a statement, and of the wait for the commits of others."""
IS_NEWEST: Final = (
    "(SELECT max(toUInt64OrZero(substring(name, 7))) FROM system.tables "
    "WHERE database = currentDatabase() AND substring(name, 1, 6) = 'epoch_') = {}"
)
"""Condition that the epoch at the mark `{}` is the newest."""
_NUMBERS: Final = (
    "SELECT toUInt64OrZero(substring(name, 7)) FROM system.tables "
    "WHERE database = currentDatabase() AND substring(name, 1, 6) = 'epoch_'"
)
_RUNNING: Final = (
    "SELECT count() FROM system.processes WHERE substring(query_id, 1, $1) = $2 "
    "AND toUInt64OrZero(splitByChar('-', query_id)[3]) < $3"
)
_LOOK_AGAIN_S: Final = 0.01
_MAX_PAUSE_S: Final = 0.25


class Epochs:
    """The epochs of one database, as one writer knows them."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        # Of other databases of the server there may be commits as well.
        self._mark = f"sidelog-{blake2b(link.address.database.encode(), digest_size=8).hexdigest()}-"
        self.own = 0
        """The newest epoch that this writer began; 0 before the first. A newer one may have begun since."""

    def query_id(self) -> str:
        """Name a statement that commits in the own epoch."""
        return f"{self._mark}{self.own}-{uuid4().hex}"

    async def begin(self) -> None:
        """Begin an epoch, when it is this writer's turn.

        Raises:
            StorageUnavailable: The server does not answer, or others had all the turns.
        """
        ends_at = self._clock() + PATIENCE_S + LIMIT_S
        while True:
            newest = await self._await_turn(ends_at)
            try:
                await self._link.execute(
                    f"CREATE TABLE {_name(newest + 1)} (gone UInt8) ENGINE = TinyLog", limit_s=LIMIT_S
                )
                break
            except AlreadyThere:
                continue
        self.own = newest + 1
        await self._await_older()
        await self._forget_older()

    async def give_up(self) -> None:
        """Let others begin an epoch at once: this writer commits nothing now."""
        await self._link.insert(_name(self.own), [Column("gone", "UInt8", [1])], limit_s=LIMIT_S)

    async def _await_turn(self, ends_at: float) -> int:
        watched, since, pause_s = -1, self._clock(), _LOOK_AGAIN_S
        while True:
            numbers = await self._numbers()
            newest = max(numbers, default=0)
            if newest in (0, self.own) or await self._had_turn(newest):
                return newest
            if newest != watched:
                watched, since = newest, self._clock()
            elif self._clock() - since > PATIENCE_S:
                return newest
            if self._clock() > ends_at:
                raise StorageUnavailable("clickhouse: other sidecars write to this database without a pause")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    async def _had_turn(self, epoch: int) -> bool:
        first, until = epoch << EPOCH_SHIFT, epoch + 1 << EPOCH_SHIFT
        sql = "SELECT count() FROM commits WHERE attempt >= $1 AND attempt < $2"
        [(commits,)] = await self._link.fetch(sql, (first, until), limit_s=LIMIT_S)
        if commits:
            return True
        try:
            [(given_up,)] = await self._link.fetch(f"SELECT count() FROM {_name(epoch)}", limit_s=LIMIT_S)
        except StorageUnavailable:
            # Whoever came next has dropped it already, unless the server is away: then looking again will tell.
            return False
        return bool(given_up)

    async def _await_older(self) -> None:
        """Wait until no commit of an older epoch is running."""
        ends_at = self._clock() + LIMIT_S
        parameters = (len(self._mark), self._mark, self.own)
        while (await self._link.fetch(_RUNNING, parameters, limit_s=LIMIT_S))[0][0]:
            if self._clock() > ends_at:
                raise StorageUnavailable(f"clickhouse: a commit of another sidecar is running for {LIMIT_S:g} s")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _forget_older(self) -> None:
        # The one before stays: whoever waits for it may still look whether it had its turn.
        for number in sorted(await self._numbers()):
            if number < self.own - 1:
                await self._link.execute(f"DROP TABLE IF EXISTS {_name(number)}", limit_s=LIMIT_S)

    async def _numbers(self) -> list[int]:
        return [number for (number,) in await self._link.fetch(_NUMBERS, limit_s=LIMIT_S)]


EPOCH_SHIFT: Final = 32
"""An attempt is the number of its epoch, and below it its own within that."""


def _name(epoch: int) -> str:
    return f"epoch_{epoch}"
