"""Who may commit in a cluster, and each commit: entries of one log that all replicas agree on.

Strategy: the entries of the log are *terms*, each of one writer, and its commits. A commit is the entry that follows
the newest its writer knows, so no commit of an older term comes behind a newer one: whoever has begun a term knows all
there is, and nobody's clock, lease or list of statements decides. The row of a commit stands in its entry; it is then
inserted into the journal, by its writer or by whoever comes next, and is on every replica before another entry is made.
A replica that does not get the rows of a commit in time is left out of it, and taken in again when it has caught up.

Invariant: as that of `storage.clickhouse.writes.epochs`; and an entry names only replicas that have all rows of all
commits up to it.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec

from storage.clickhouse.answers import AlreadyThere
from storage.clickhouse.cluster.catching_up import has_caught_up
from storage.clickhouse.cluster.claims import Claims
from storage.clickhouse.cluster.replicas import SYNC_S, ClusterLink, Copy, Expected, NoReplica
from storage.clickhouse.layout import migrate
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.literals import literal
from storage.clickhouse.writes.epochs import PATIENCE_S
from storage.clickhouse.writes.group import HandedIn
from storage.clickhouse.writes.inbox import Hand
from storage.errors import StorageUnavailable

log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = (0.02, 0.1)
_TAKE_IN_S: Final = 3.0
"""How often it is looked whether a replica has caught up."""
_REST: Final = 10
"""How much longer than a look took it is waited for the next."""
_LATE_S: Final = 0.5
"""How long is waited for what a replica that has caught up still lacks."""

LOG: Final = "log"


class _Behind(StorageUnavailable):
    """The replica that was asked has not everything."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the log."""

    what: Literal["term", "free", "commit"] = "free"
    """A writer has begun; it commits nothing now; it has committed."""
    term: int = 0
    replicas: Sequence[str] | None = None
    """Those that have everything up to here; None before the first entry: there is nothing."""
    insert: str = ""
    """Of a commit: what inserts its row."""
    row: Sequence[Any] = ()
    """The row: all columns but `replicas`, the attempt first."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Entry)


class Terms:
    """The log of one database, as one writer knows it; for the journal what `Epochs` is for one server."""

    has_inbox: Final = False

    def __init__(self, link: ClusterLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._claims = Claims(link, LOG)
        self.own = 0
        """The number of the newest term that this writer began; 0 before the first."""
        self.has_others = True
        """Whether others may have begun since: they are always looked for."""
        self._number = 0
        self._newest = Entry()
        self._turns = 0
        """Of the link, when the term was begun: on another host rows may be missing that were there."""
        self._next_look = 0.0

    async def begin(self, hand: Hand | None = None) -> bool:
        """Begin a term, when its turn has come.

        Args:
            hand: Of no account: what replicas have of each batch is its writer's to count.

        Returns:
            True.

        Raises:
            StorageUnavailable: The server does not answer, is behind, or others had all the turns.
        """
        ends_at = self._clock() + PATIENCE_S + LIMIT_S
        number, since = -1, self._clock()
        while True:
            self._turns = self._link.turns
            before, number = number, await self._look()
            if number != before:
                since = self._clock()
            is_free = self._newest.what != "term" or self._newest.term == self.own
            if is_free or self._clock() - since > PATIENCE_S:
                # Where the replica that is asked is behind, another one is asked from now on.
                with suppress(AlreadyThere, _Behind):
                    await self._append()
                    await self._claim(Entry("term", number + 1))
                    self.own = number + 1
                    return True
            if self._clock() > ends_at:
                raise StorageUnavailable("clickhouse: other sidecars write to this database without a pause")
            await asyncio.sleep(random.uniform(*_LOOK_AGAIN_S))  # noqa: S311 -- so that two do not always meet

    async def handed_in(self, but: str) -> Sequence[HandedIn]:
        """Return nothing."""
        return ()

    async def is_newest(self) -> bool:
        """Whether nobody has made an entry since the last own one, and the same host is asked."""
        known = self._number
        return self._turns == self._link.turns and await self._look() == known

    async def give_up(self) -> None:
        """Let others begin a term at once."""
        if self._newest.what == "term" and self._newest.term == self.own:
            with suppress(AlreadyThere):
                await self._claim(Entry("free", self.own))

    async def seal(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Commit a row of the journal; it is not there afterwards where others have made an entry.

        Args:
            insert: The beginning of the statement that inserts it, with the names of its columns in parentheses.
            rows: One: first attempt, attempt, first `seq` and so on.
        """
        [row] = rows
        _, attempt, first_seq, *_ = row
        try:
            await self._claim(Entry("commit", self.own, None, insert, row), self._link.expected(attempt, first_seq))
        except AlreadyThere:
            return
        self._link.settle()
        await self._append()
        await self._claims.forget(self._number)

    async def _look(self) -> int:
        """Read the newest entry; returns its number."""
        self._number, content = await self._claims.newest()
        self._newest = _decoder.decode(content) if content else Entry()
        return self._number

    async def _claim(self, entry: Entry, expected: Sequence[Expected] = ()) -> None:
        """Make the next entry, for all replicas that have everything."""
        await self._check_current()
        if self._newest.what == "commit":
            attempt = self._newest.row[1]
            expected = [*expected, Expected("commits", "count()", f"attempt = {attempt}", 1)]
        replicas = await self._whole(expected)
        if self._turns != self._link.turns:
            raise StorageUnavailable("clickhouse: another host is asked now: nothing was committed")
        if await self._link.current.name() not in replicas:
            raise self._behind()
        least = self._link.address.min_replicas
        if len(replicas) < least:
            raise StorageUnavailable(f"clickhouse: {len(replicas)} of the replicas have everything, not {least}")
        entry = msgspec.structs.replace(entry, replicas=replicas)
        await self._claims.claim(self._number + 1, _encode(entry))
        _tell(self._newest.replicas, replicas)
        self._number, self._newest = self._number + 1, entry

    async def _append(self) -> None:
        """Insert the row of the newest entry into the journal where it is not there yet."""
        newest = self._newest
        if newest.what != "commit":
            return
        await self._check_current()
        sql = "SELECT count() FROM commits WHERE attempt = $1"
        if (await self._link.fetch(sql, (newest.row[1],), limit_s=LIMIT_S))[0][0]:
            return
        marks = ", ".join(f"${number}" for number in range(1, len(newest.row) + 1))
        names = ", ".join(literal(name) for name in newest.replicas or ())
        insert = f"{newest.insert.removesuffix(')')}, replicas) SELECT {marks}, [{names}] FROM system.one"
        await self._link.execute(insert, newest.row, limit_s=LIMIT_S)

    async def _check_current(self) -> None:
        """Make sure that the replica that is asked has everything: with it the others are compared."""
        replicas = self._newest.replicas
        if replicas is not None and await self._link.current.name() not in replicas:
            raise self._behind()

    def _behind(self) -> StorageUnavailable:
        host = self._link.hosts[0]
        self._link.turn(host)
        return _Behind(f"clickhouse: the replica at {host} is behind the others")

    async def _whole(self, expected: Sequence[Expected]) -> list[str]:
        """Find the replicas that have everything."""
        began = self._clock()
        may_take_in = began >= self._next_look
        async with asyncio.TaskGroup() as asking:
            names = [
                asking.create_task(self._name_of_whole(copy, expected, may_take_in=may_take_in))
                for copy in self._link.copies
            ]
        if may_take_in:
            # To compare takes long where there is much.
            self._next_look = self._clock() + max(_TAKE_IN_S, _REST * (self._clock() - began))
        return sorted({name.result() for name in names} - {""})

    async def _name_of_whole(self, copy: Copy, expected: Sequence[Expected], *, may_take_in: bool) -> str:
        """Return a replica's name; empty where it is away, or lacks something."""
        had_all = self._newest.replicas
        try:
            name = await copy.name()
            has_had_all = had_all is None or name in had_all
            if not has_had_all and not (may_take_in and await has_caught_up(self._link, copy)):
                return ""
            return name if await copy.has(expected, SYNC_S if has_had_all else _LATE_S) else ""
        except NoReplica:
            if may_take_in:
                with suppress(StorageUnavailable):
                    await migrate(copy.link)
        except StorageUnavailable:
            pass
        return ""


def _tell(before: Sequence[str] | None, now: Sequence[str]) -> None:
    """Log which replicas are left out from now on, and which are taken in again."""
    if before is None:
        return
    for name in sorted(set(before) - set(now)):
        log.warning("clickhouse: the replica %s is left out until it has caught up; %d have everything", name, len(now))
    for name in sorted(set(now) - set(before)):
        log.info("clickhouse: the replica %s has everything; so have %d", name, len(now))


async def replicas_of_newest(link: Link) -> Sequence[str] | None:
    """Read which replicas have everything; None where there is nothing yet."""
    _, content = await Claims(link, LOG).newest()
    return _decoder.decode(content).replicas if content else None
