"""Who may commit in a cluster, and each commit: entries of one log that all replicas agree on.

Strategy: the entries of the log are *terms*, each of one writer, and its commits. A commit is the entry that follows
the newest its writer knows, so no commit of an older term comes behind a newer one: whoever has begun a term knows all
there is, and nobody's clock, lease or list of statements decides. The row of a commit stands in its entry; it is then
inserted into the journal, by its writer or by whoever comes next, and is on every replica before another entry is made.
Those who wait for a term hand their batch in to whoever begins the next one (`inboxes.py`), whose commit has a row for
each. A replica that does not get the rows of a commit in time is left out of it, and taken in again when it has caught
up.

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

from storage.clickhouse.answers import AlreadyThere, NameLost
from storage.clickhouse.cluster.catching_up import has_caught_up
from storage.clickhouse.cluster.claims import Claims, Overtaken
from storage.clickhouse.cluster.inboxes import Inboxes
from storage.clickhouse.cluster.replicas import SYNC_S, ClusterLink, Copy, Expected, NoReplica
from storage.clickhouse.layout import migrate
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.literals import literal
from storage.clickhouse.writes.arrays import arrays_of
from storage.clickhouse.writes.epochs import PATIENCE_S
from storage.clickhouse.writes.group import EPOCH_SHIFT, HandedIn
from storage.clickhouse.writes.inbox import Hand, wait_limit_s
from storage.clickhouse.writes.waiting import Waiting
from storage.errors import StorageUnavailable

log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = (0.02, 0.1)
_TAKE_IN_S: Final = 3.0
"""How often it is looked whether a replica has caught up."""
_READ_TERMS: Final = 4
"""By then two more have begun one, a number for each and for what it ended with, and have read what lies there."""
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
    """Of a commit: what inserts its rows."""
    row: Sequence[Any] = ()
    """All columns but `replicas`, the attempt first."""
    more: Sequence[Sequence[Any]] = ()
    """Rows of batches that were committed along."""

    @property
    def rows(self) -> list[Sequence[Any]]:
        """Of a commit."""
        return [self.row, *self.more]


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Entry)


class Terms:
    """The log of one database, as one writer knows it; for the journal what `Epochs` is for one server."""

    def __init__(self, link: ClusterLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._claims = Claims(link, LOG)
        self._inboxes = Inboxes(link)
        self.own = 0
        """The number of the newest term that this writer began; 0 before the first."""
        self.has_others = True
        """Whether others may have begun since: they are always looked for."""
        self._before = 0
        """The newest term before that."""
        self._number = 0
        self._newest = Entry()
        self._turns = 0
        """Of the link, when the term was begun: on another host rows may be missing that were there."""
        self._next_look = 0.0

    async def begin(self, hand: Hand | None = None) -> bool:
        """Begin a term, when its turn has come.

        Args:
            hand: A batch that may be handed in meanwhile.

        Returns:
            False where somebody has committed that batch: then no term was begun.

        Raises:
            StorageUnavailable: The server does not answer, is behind, or others had all the turns.
        """
        since = self._clock()
        waiting = Waiting(since, 0 if hand is None else hand.crowd)
        while True:
            self._turns = self._link.turns
            number, now = await self._look(), self._clock()
            waiting.note(number, (), now)
            if hand is not None and hand.epoch and await hand.is_done(await self._committed()):
                return False
            is_free = self._newest.what != "term" or self._newest.term == self.own
            if waiting.may_follow(now, PATIENCE_S, is_free=is_free):
                # Where the replica that is asked is behind, another one is asked from now on.
                with suppress(AlreadyThere, _Behind):
                    return await self._follow(hand)
            if now > since + PATIENCE_S + wait_limit_s(hand):
                raise StorageUnavailable("clickhouse: other sidecars write to this database without a pause")
            if not is_free and hand is not None:
                await self._hand_in(hand, waiting)
            # So that two do not always meet.
            await asyncio.sleep(max(waiting.pause_s, random.uniform(*_LOOK_AGAIN_S)))  # noqa: S311

    async def handed_in(self, but: str) -> list[HandedIn]:
        """Read batches that others have handed in; see `Inboxes.read`."""
        return await self._inboxes.read(self._newest.replicas or (), self._before, but)

    async def is_newest(self) -> bool:
        """Whether nobody has made an entry since the last own one, and the same host is asked."""
        known = self._number
        return self._turns == self._link.turns and await self._look() == known

    async def give_up(self) -> None:
        """Let others begin a term at once."""
        if self._newest.what == "term" and self._newest.term == self.own:
            with suppress(AlreadyThere, Overtaken):  # somebody has begun the next one
                await self._claim(Entry("free", self.own))

    async def seal(self, insert: str, rows: Sequence[Sequence[Any]]) -> None:
        """Commit rows of the journal; they are not there afterwards where others have made an entry.

        Args:
            insert: The beginning of the statement that inserts them, with the names of their columns in parentheses.
            rows: Of each first attempt, attempt, first `seq` and so on.
        """
        row, *more = rows
        _, attempt, first_seq, *_ = row
        expected = self._link.expected((attempt, rows[-1][1]), first_seq)
        try:
            await self._claim(Entry("commit", self.own, None, insert, row, more), expected)
        except AlreadyThere:
            return
        self._link.settle()
        await self._append()
        await self._claims.forget(self._number)

    async def _follow(self, hand: Hand | None) -> bool:
        """Begin the next term, unless a batch turns out to be committed."""
        await self._append()
        if hand is not None and await hand.taken() is not None:
            return False
        own, before = self._number + 1, self._newest.term
        await self._claim(Entry("term", own))
        self.own, self._before = own, before
        return True

    async def _hand_in(self, hand: Hand, waiting: Waiting) -> None:
        """Hand a batch in, unless it lies where whoever begins the next term looks."""
        term = self._newest.term
        if (hand.epoch and term < hand.epoch + _READ_TERMS) or not await hand.fits():
            return
        with suppress(NameLost):
            await self._inboxes.open(term)
            await hand.give(term)
        waiting.crowd = max(waiting.crowd, hand.crowd)

    async def _committed(self) -> int:
        """Read in which term the newest commit was made that this replica shows."""
        [(attempt,)] = await self._link.fetch("SELECT max(attempt) FROM commits", limit_s=LIMIT_S)
        return int(attempt or 0) >> EPOCH_SHIFT

    async def _look(self) -> int:
        """Read the newest entry; returns its number."""
        self._number, content = await self._claims.newest()
        self._newest = _decoder.decode(content) if content else Entry()
        return self._number

    async def _claim(self, entry: Entry, expected: Sequence[Expected] = ()) -> None:
        """Make the next entry, for all replicas that have everything."""
        await self._check_current()
        if self._newest.what == "commit":
            attempts = [row[1] for row in self._newest.rows]
            where = f"attempt BETWEEN {attempts[0]} AND {attempts[-1]}"
            expected = [*expected, Expected("commits", "uniqExact(attempt)", where, len(attempts))]
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
        """Insert the rows of the newest entry into the journal where they are not there yet."""
        newest = self._newest
        if newest.what != "commit":
            return
        await self._check_current()
        sql = "SELECT count() FROM commits WHERE attempt = $1"
        if (await self._link.fetch(sql, (newest.row[1],), limit_s=LIMIT_S))[0][0]:
            return
        names, columns, parameters = arrays_of(newest.rows)
        replicas = ", ".join(literal(name) for name in newest.replicas or ())
        # One block, and so one part: all of them or none.
        rows = f"SELECT {columns} FROM system.one"
        insert = f"{newest.insert.removesuffix(')')}, replicas) SELECT {names}, [{replicas}] FROM ({rows})"
        await self._link.execute(f"{insert} ARRAY JOIN {names}", parameters, limit_s=LIMIT_S)

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
