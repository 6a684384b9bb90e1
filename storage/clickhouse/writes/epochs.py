"""Who may commit: epochs, each begun by one writer, after which no commit of an older one can happen.

Strategy: an epoch is a table, because to create one is the only step that every server does for exactly one of two who
want it. Commits say in their statement of which epoch they are, and the server stores nothing where a newer one has
begun (`IS_NEWEST`). Who begins an epoch waits until no commit of an older one is running: what starts later sees it.
A writer leaves an epoch to whoever has it until that one had a turn, a commit, or gave it up; or has done nothing for
`PATIENCE_S`, as one that was killed. Those who wait hand their batch in to whoever comes next (`inbox.py`); who has
none that can be handed in is in a queue (`waiting.py`), and those in it go first.

Invariant: when `begin` returns, what was committed before is settled, and nobody else commits until a newer epoch.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final
from uuid import uuid4

from storage.clickhouse.answers import AlreadyThere, NameLost
from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.clickhouse.native import Column
from storage.clickhouse.writes.arrays import arrays_of
from storage.clickhouse.writes.group import EPOCH_SHIFT, HandedIn
from storage.clickhouse.writes.inbox import COLUMNS, Hand, handed, pending, table_of, wait_limit_s
from storage.clickhouse.writes.waiting import LOOK_AGAIN_S, Waiting, epochs_of, new_ticket
from storage.errors import StorageUnavailable

PATIENCE_S: Final = 5.0
"""How long an epoch in which nothing happens is left to its writer, where the server answers soon."""
_TURN_LOOKS: Final = 40
"""Where a look takes long, a turn takes longer: as so many looks at most."""
_INBOXES: Final = 2
"""Epochs before the newest whose tables are kept."""
IS_NEWEST: Final = (
    "(SELECT max(toUInt64OrZero(substring(name, 7))) FROM system.tables "
    "WHERE database = currentDatabase() AND substring(name, 1, 6) = 'epoch_') = {}"
)
"""Condition that the epoch at the mark `{}` is the newest."""
_LOOK: Final = (
    "SELECT name, (SELECT max(attempt) FROM commits) FROM system.tables "
    "WHERE database = currentDatabase() AND (substring(name, 1, 6) = 'epoch_' OR substring(name, 1, 5) = 'turn_')"
)
_RUNNING: Final = (
    "SELECT count() FROM system.processes WHERE substring(query_id, 1, $1) = $2 "
    "AND toUInt64OrZero(splitByChar('-', query_id)[3]) < $3"
)


class Epochs:
    """The epochs of one database, as one writer knows them."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        # Of other databases of the server there may be commits as well.
        self._mark = f"sidelog-{blake2b(link.address.database.encode(), digest_size=8).hexdigest()}-"
        self.own = 0
        """The newest epoch that this writer began; 0 before the first. A newer one may have begun since."""
        self.has_others = False
        """Whether others wanted to write when it began."""
        self._inboxes: list[int] = []
        """Epochs before the own one that batches may have been handed in to; empty when those were read."""

    def query_id(self) -> str:
        """Name a statement that commits in the own epoch."""
        return f"{self._mark}{self.own}-{uuid4().hex}"

    async def begin(self, hand: Hand | None = None) -> bool:
        """Begin an epoch, when it is this writer's turn.

        Args:
            hand: A batch that may be handed in meanwhile.

        Returns:
            False where somebody has committed that batch: then no epoch was begun.

        Raises:
            StorageUnavailable: The server does not answer, or others had all the turns.
        """
        since = self._clock()
        waiting = Waiting(since, 0 if hand is None else hand.crowd)
        lost = 0
        try:
            while True:
                numbers = await self._await_turn(waiting, hand, since)
                if hand is not None and await hand.taken() is not None:
                    return False
                own = max([lost, *numbers]) + 1
                try:
                    await self._create(table_of(own), COLUMNS)
                    break
                except AlreadyThere:
                    continue
                except NameLost:
                    # Nobody can have it until the server is started again; numbers need not follow each other.
                    lost = own
        finally:
            if waiting.ticket:
                with suppress(StorageUnavailable):  # it grows stale by itself
                    await self._drop(waiting.ticket)
        self.own = own
        self.has_others = bool(waiting.ticket or waiting.others or (hand is not None and hand.epoch))
        await self._await_older()
        # Those before stay: whoever waits for one may still look whether it had its turn, and what was handed in late
        # is there.
        self._inboxes = [number for number in numbers if own - _INBOXES <= number < own]
        for name in (*(table_of(number) for number in numbers if number < own - _INBOXES), *waiting.stale):
            await self._drop(name)
        return True

    async def handed_in(self, but: str) -> list[HandedIn]:
        """Read batches that others have handed in, in the own epoch; see `inbox.pending`."""
        found = await pending(self._link, await handed(self._link, self._inboxes), but)
        self._inboxes = []
        self.has_others |= bool(found)
        return found

    async def is_newest(self) -> bool:
        """Whether no other epoch has begun since the own one."""
        names, _ = await self._look()
        return max(epochs_of(names), default=0) == self.own

    async def seal(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows into the journal, all at once; nothing is inserted where another epoch has begun.

        Args:
            insert: The beginning of the statement, with the names of columns.
            rows: Their values.
        """
        names, columns, parameters = arrays_of(rows, [self.own])
        # One condition for all rows, and one block of them.
        one = f"SELECT {columns} FROM system.one WHERE {IS_NEWEST.format('$1')}"
        sql = f"{insert} SELECT {names} FROM ({one}) ARRAY JOIN {names}"
        settings = {"query_id": self.query_id()}
        await over_tables(lambda: self._link.execute(sql, parameters, limit_s=LIMIT_S, settings=settings))

    async def give_up(self) -> None:
        """Let others begin an epoch at once: this writer commits nothing now."""
        await self._link.insert(table_of(self.own), [Column("gone", "UInt8", [1])], limit_s=LIMIT_S)

    async def _await_turn(self, waiting: Waiting, hand: Hand | None, since: float) -> list[int]:
        """Wait until the newest epoch may be followed, and by us, or the batch has been committed.

        Returns:
            The numbers of the epochs there are.
        """
        patience_s = PATIENCE_S
        while True:
            began = self._clock()
            names, attempt = await self._look()
            numbers, now = epochs_of(names), self._clock()
            patience_s = max(patience_s, _TURN_LOOKS * (now - began))
            newest = max(numbers, default=0)
            waiting.note(newest, names, now)
            if hand is not None and await hand.is_done(attempt >> EPOCH_SHIFT):
                # While others follow each other without a pause, it is never free.
                return numbers
            is_free = newest in (0, self.own) or attempt >> EPOCH_SHIFT == newest
            if not is_free and waiting.may_be_given_up(now):
                is_free = await self._is_given_up(newest)
            if waiting.may_follow(now, patience_s, is_free=is_free):
                return numbers
            if now > since + patience_s + wait_limit_s(hand):
                raise StorageUnavailable("clickhouse: other sidecars write to this database without a pause")
            if not waiting.ticket and not await self._is_handed_in(hand, newest, waiting):
                waiting.ticket = new_ticket()
                await self._create(waiting.ticket, "gone UInt8")
            await asyncio.sleep(waiting.pause_s)

    async def _is_handed_in(self, hand: Hand | None, newest: int, waiting: Waiting) -> bool:
        """Hand a batch in, unless it lies where the next writer looks; False where that cannot be."""
        if hand is None:
            return False
        if hand.epoch and newest < hand.epoch + _INBOXES:
            return True
        if not await hand.fits():
            return False
        await hand.give(newest)
        waiting.crowd = max(waiting.crowd, hand.crowd)
        return True

    async def _is_given_up(self, epoch: int) -> bool:
        try:
            [(given_up,)] = await self._link.fetch(f"SELECT count() FROM {table_of(epoch)} WHERE gone", limit_s=LIMIT_S)
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
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _look(self) -> tuple[list[str], int]:
        """Read the names of epochs and tickets, and the newest attempt that was committed."""
        rows = await over_tables(lambda: self._link.fetch(_LOOK, limit_s=LIMIT_S))
        return [name for name, _ in rows], rows[0][1] or 0 if rows else 0

    async def _create(self, name: str, columns: str) -> None:
        await self._link.execute(f"CREATE TABLE {name} ({columns}) ENGINE = Memory", limit_s=LIMIT_S)

    async def _drop(self, name: str) -> None:
        await self._link.execute(f"DROP TABLE IF EXISTS {name}", limit_s=LIMIT_S)
